# The Ray pods on GPUs: vLLM with CUDA from its own packages, and Ray Serve. The node brings the
# driver; nothing else of CUDA has to be installed.
#   docker build -f helm/images/serving-gpu.Dockerfile -t nesycd-serving-gpu:0.1.0 .
ARG PYTHON=3.11.14-slim-bookworm

FROM python:${PYTHON} AS build
WORKDIR /src
COPY requirements/serving-gpu.lock requirements/serving-gpu.lock
RUN python -m pip install --no-cache-dir --no-deps --ignore-installed --prefix=/install -r requirements/serving-gpu.lock
COPY LICENSE README.md pyproject.toml ./
COPY services services
COPY kb_loader kb_loader
COPY training training
RUN python -m pip install --no-cache-dir --no-deps setuptools==78.1.1 \
 && python -m pip install --no-cache-dir --no-deps --no-build-isolation --prefix=/install .

FROM python:${PYTHON}
LABEL org.opencontainers.image.title="nesycd-serving-gpu" \
      org.opencontainers.image.description="The student and the knowledge base of nesycd on Ray, for GPUs" \
      org.opencontainers.image.licenses="Apache-2.0"
# gcc: Triton compiles its kernels' launchers when it first runs them.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev libnuma1 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /install /usr/local
ENV HOME=/tmp \
    NESYCD_CACHE_DIR=/var/cache/nesycd \
    NESYCD_LOG_FORMAT=json \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    NVIDIA_VISIBLE_DEVICES=all \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
# Ray's control store, dashboard and metrics; Serve's gRPC and HTTP.
EXPOSE 6379 8265 8080 9000 8000
CMD ["ray", "--version"]
