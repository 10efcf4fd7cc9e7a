"""Demo roster: tiny models that let a fresh installation hold real battles without any account or download."""
