# The first stage builds, and stays behind with pip, its caches and the build tools. The second one serves. Every file that
# comes from a package index is compared with its hash in deploy/*.txt; docs/decisions/supply.md says how they are made.
# The bundled PostgreSQL keeps its data on the volume /data; it is not started when DATABASE_URL (and SIGNING_KEY) are set, or
# DATABASE_URL_FILE and SIGNING_KEY_FILE, which keep secrets out of the environment (docs/secrets.md).
# The base has a Python that was built with optimisation: one without it takes 14 to 45 % more processor time.
# For builds that can be repeated name the base by its digest: --build-arg PYTHON=python:3.13-slim@sha256:…
ARG PYTHON=python:3.13-slim
FROM ${PYTHON} AS build
WORKDIR /src
COPY deploy/requirements.txt deploy/requirements-build.txt deploy/
RUN python -m venv /build \
 && /build/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r deploy/requirements-build.txt
# Only aiohttp-apispec has no wheel. Without isolation it is built with the setuptools above; with it, pip would fetch one
# that no hash is known for.
RUN /build/bin/pip wheel --no-cache-dir --require-hashes --only-binary :all: --no-binary aiohttp-apispec --no-build-isolation \
    --wheel-dir /wheels -r deploy/requirements.txt
COPY . .
RUN /build/bin/pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /wheels . \
 && python -m venv --without-pip /venv \
 && /build/bin/pip --python /venv/bin/python install --no-index --find-links /wheels frontdesk \
 && /build/bin/pip --python /venv/bin/python check \
 && /build/bin/python -m deploy.sbom /venv/bin/python /sbom.cdx.json

FROM ${PYTHON}
ARG VERSION=
ARG REVISION=
LABEL org.opencontainers.image.title="Frontdesk" \
      org.opencontainers.image.description="Accounts and sign-in service that a team puts behind any front end" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN useradd --system --uid 10001 --home-dir /data --create-home --shell /usr/sbin/nologin frontdesk
COPY --from=build /venv /venv
COPY --from=build /sbom.cdx.json /usr/share/doc/frontdesk/sbom.cdx.json
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    PORT=8080 \
    DATA_DIR=/data/frontdesk \
    LOG_FORMAT=json
# As a number: Kubernetes (runAsNonRoot) cannot tell from a name that it is not root.
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f\"http://127.0.0.1:{os.environ['PORT']}/readyz\", timeout=2)"]
CMD ["python", "-m", "server"]
