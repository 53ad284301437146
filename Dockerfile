# Two stages: pip and its caches stay in the first. The bundled PostgreSQL keeps its data on the volume /data;
# it is not started when DATABASE_URL (and SIGNING_KEY) are set, or DATABASE_URL_FILE and SIGNING_KEY_FILE, which keep
# secrets out of the environment (docs/secrets.md).
FROM python:3.13-slim AS build
WORKDIR /src
COPY . .
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir .

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /data --create-home --shell /usr/sbin/nologin frontdesk
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    PORT=8080 \
    DATA_DIR=/data/frontdesk \
    LOG_FORMAT=json
USER frontdesk
WORKDIR /data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f\"http://127.0.0.1:{os.environ['PORT']}/readyz\", timeout=2)"]
CMD ["python", "-m", "server"]
