"""Expert raters: named people judge stored battles blind, in the browser, so that the crowd can be compared with them.

They see a conversation only while the release gate would pass it (`datasets/gate.py`), never who wrote it, how the crowd voted
or what other raters said. `ranking/agreement.py` turns labels into agreement.
"""
