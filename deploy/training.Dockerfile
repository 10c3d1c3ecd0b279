# What every step of a training run is in on the stack `docker`: the locked requirements, no code.
# `run.py --train --stack docker` builds it once, and mounts the checkout.
ARG BASE=python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

# hadolint ignore=DL3006
FROM ${BASE}
# LightGBM and CatBoost are compiled with OpenMP.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
COPY requirements.lock /tmp/requirements.lock
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=certificates \
    if [ -f /run/secrets/certificates ]; then export PIP_CERT=/run/secrets/certificates; fi \
    && python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
        --only-binary :all: --requirement /tmp/requirements.lock
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp
USER 10001:10001
