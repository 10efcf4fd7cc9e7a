# Two images from one file: `site` (web, workers, beat, operator commands) and `engine` (the site's code and torch).
# Built by `docker compose build`; compose.yaml holds the commands. Nothing here runs as root but the installation itself.
ARG PYTHON=3.11-slim-bookworm

# --- dependencies, every one pinned by hash ----------------------------------------------------------------------------
FROM python:${PYTHON} AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /venv
COPY requirements/base.txt /requirements/base.txt
RUN /venv/bin/python -m pip install --require-hashes --only-binary=:all: -r /requirements/base.txt

# torch is pinned by version, not by hash: its CPU build differs per index. For CUDA: --build-arg TORCH_INDEX=https://pypi.org/simple
FROM packages AS engine-packages
ARG TORCH=torch==2.13.0
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY requirements/engine.txt /requirements/engine.txt
RUN /venv/bin/python -m pip install --require-hashes --only-binary=:all: -r /requirements/engine.txt
RUN /venv/bin/python -m pip install --index-url ${TORCH_INDEX} ${TORCH}

# --- the code ----------------------------------------------------------------------------------------------------------
FROM python:${PYTHON} AS code
RUN groupadd --gid 10001 agon && useradd --uid 10001 --gid 10001 --home-dir /srv/agon --no-create-home --shell /usr/sbin/nologin agon
WORKDIR /srv/agon
# Empty folders that volumes are mounted on: a new volume takes its owner from here.
RUN install -d -o agon -g agon -m 0750 var var/media var/models var/static
ENV PATH=/venv/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=arena.settings AGON_ENV=production AGON_VAR=/srv/agon/var
COPY . .
RUN python -m compileall -q arena datasets inference kernels ranking

# The engine's C kernels: the compiler stays behind in this stage.
FROM python:${PYTHON} AS engine-kernels
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev
COPY kernels /build/kernels
RUN cd /build && AGON_KERNELS_DIR=/kernels python -m kernels.build && ls /kernels/*.so

FROM code AS engine
COPY --from=engine-packages /venv /venv
COPY --from=engine-kernels /kernels /srv/kernels
ENV AGON_KERNELS_DIR=/srv/kernels
USER agon

FROM code AS site
COPY --from=packages /venv /venv
USER agon
CMD ["python", "-m", "arena.serve", "--host", "0.0.0.0", "--port", "8000"]
