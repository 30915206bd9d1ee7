# The Ray pods on processors: vLLM's CPU build and Ray Serve.
#   docker build -f helm/images/serving-cpu.Dockerfile -t nesycd-serving-cpu:0.1.0 .
ARG PYTHON=3.11.14-slim-bookworm

FROM python:${PYTHON} AS build
# Where a CPU build of torch comes from when the configured package index has none.
ARG TORCH_CPU_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /src
COPY requirements/serving-cpu.lock requirements/serving-cpu.lock
RUN grep '^torch==' requirements/serving-cpu.lock > torch.txt && grep -v '^torch==' requirements/serving-cpu.lock > others.txt \
 && { python -m pip install --no-cache-dir --no-deps --ignore-installed --prefix=/install -r torch.txt \
   || python -m pip install --no-cache-dir --no-deps --ignore-installed --prefix=/install -r torch.txt --index-url "$TORCH_CPU_INDEX"; } \
 && python -m pip install --no-cache-dir --no-deps --ignore-installed --prefix=/install -r others.txt
COPY LICENSE README.md pyproject.toml ./
COPY services services
COPY kb_loader kb_loader
COPY training training
RUN python -m pip install --no-cache-dir --no-deps setuptools==78.1.1 \
 && python -m pip install --no-cache-dir --no-deps --no-build-isolation --prefix=/install .

FROM python:${PYTHON}
LABEL org.opencontainers.image.title="nesycd-serving-cpu" \
      org.opencontainers.image.description="The student and the knowledge base of nesycd on Ray, for processors" \
      org.opencontainers.image.licenses="Apache-2.0"
# libnuma: vLLM's CPU kernels link to it.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends libnuma1 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /install /usr/local
ENV HOME=/tmp \
    NESYCD_CACHE_DIR=/var/cache/nesycd \
    NESYCD_LOG_FORMAT=json \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
# Ray's control store, dashboard and metrics; Serve's gRPC and HTTP.
EXPOSE 6379 8265 8080 9000 8000
CMD ["ray", "--version"]
