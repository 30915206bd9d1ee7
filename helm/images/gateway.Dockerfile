# The gateway: nesycd's base packages, without torch, Ray and vLLM.
#   docker build -f helm/images/gateway.Dockerfile -t nesycd-gateway:0.1.0 .
ARG PYTHON=3.11.14-slim-bookworm

FROM python:${PYTHON} AS build
WORKDIR /src
COPY requirements/gateway.lock requirements/gateway.lock
RUN python -m pip install --no-cache-dir --no-deps --ignore-installed --prefix=/install -r requirements/gateway.lock
COPY LICENSE README.md pyproject.toml ./
COPY services services
COPY kb_loader kb_loader
COPY training training
RUN python -m pip install --no-cache-dir --no-deps setuptools==78.1.1 \
 && python -m pip install --no-cache-dir --no-deps --no-build-isolation --prefix=/install .

FROM python:${PYTHON}
LABEL org.opencontainers.image.title="nesycd-gateway" \
      org.opencontainers.image.description="The public gRPC edge of nesycd" \
      org.opencontainers.image.licenses="Apache-2.0"
# Into the system's own prefix: a login shell, which resets PATH, finds it too.
COPY --from=build /install /usr/local
# The root file system may be read-only: /tmp and the cache are mounted, or not needed.
ENV HOME=/tmp \
    NESYCD_CACHE_DIR=/var/cache/nesycd \
    NESYCD_LOG_FORMAT=json \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 50051 9464
CMD ["nesycd", "gateway"]
