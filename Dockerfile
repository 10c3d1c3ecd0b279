# The serving image of one Bento, which is the build's context: `run.py --deploy` builds both.
# docs/adr/0016 says why this file is ours. Change the base by --build-arg BASE=IMAGE: any Debian
# image with Python 3.11 and its venv module, for both stages.
ARG BASE=python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

# hadolint ignore=DL3006
FROM ${BASE} AS packages
COPY env/python/requirements.txt /tmp/requirements.txt
# pip runs from an environment of its own, so that it is not in the one that is shipped. The cache
# and the certificates of a proxy that reads TLS, where a build needs them, are mounts: no layer
# holds them.
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=certificates \
    if [ -f /run/secrets/certificates ]; then export PIP_CERT=/run/secrets/certificates; fi \
    && python3 -m venv /opt/pip && python3 -m venv --without-pip /opt/venv \
    && /opt/pip/bin/pip --python /opt/venv/bin/python install --quiet \
        --disable-pip-version-check --no-compile --no-deps --require-hashes --only-binary :all: \
        --requirement /tmp/requirements.txt
# Half of what comes is never read: tests, sources of what is compiled, tools that make models, a
# second onnxruntime for programs in C, and the description of every AWS service but the two that
# read a registry in S3. Compiled after that, in parallel, since a read-only root keeps no bytecode.
WORKDIR /opt/venv/lib
RUN find . \( -name tests -o -name test \) -type d -prune -exec rm -r {} + \
    && find . -type f \( -name '*.py[ix]' -o -name '*.px[di]' -o -name '*.[ach]' -o -name '*.[ch]pp' \) -delete \
    && rm -rf python3*/site-packages/onnxruntime/*/libonnxruntime.so* \
        python3*/site-packages/onnxruntime/transformers \
        python3*/site-packages/onnxruntime/quantization python3*/site-packages/onnxruntime/tools \
    && find python3*/site-packages/botocore/data -mindepth 1 -maxdepth 1 -type d \
        ! -name 's3' ! -name 'sts' ! -name 'sso*' -exec rm -r {} + \
    && python3 -m compileall -q -j 0 .

# hadolint ignore=DL3006
FROM ${BASE}
COPY --from=packages /opt/venv /opt/venv
COPY bento.yaml /bento/
COPY src /bento/src
RUN python3 -m compileall -q /bento/src
# All that is written goes under /tmp, so that the root may be read-only.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    BENTOML_HOME=/tmp/bentoml \
    BENTOML_DO_NOT_TRACK=true \
    BENTOML_HOST=0.0.0.0 \
    BENTOML_PORT=8000 \
    BENTOLINE_HOME=/tmp/bentoline
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python3", "-c", "import os, urllib.request as u; u.urlopen(f\"http://127.0.0.1:{os.environ['BENTOML_PORT']}/readyz\", timeout=2)"]
ENTRYPOINT ["bentoml", "serve", "/bento"]
