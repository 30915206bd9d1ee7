# Jobs: knowledge dumps in and out (nesycd kb), training (nesycd train), evaluation (nesycd eval).
#   docker build -f helm/images/jobs.Dockerfile -t nesycd-jobs:0.1.0 .
# On GPUs:
#   docker build -f helm/images/jobs.Dockerfile --build-arg LOCK=requirements/gpu.lock -t nesycd-jobs-gpu:0.1.0 .
ARG PYTHON=3.11.14-slim-bookworm

FROM python:${PYTHON} AS build
ARG LOCK=requirements/jobs.lock
# Where a CPU build of torch comes from when the configured package index has none.
ARG TORCH_CPU_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /src
COPY ${LOCK} ${LOCK}
RUN grep '^torch==' "$LOCK" > torch.txt && grep -v '^torch==' "$LOCK" > others.txt \
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
LABEL org.opencontainers.image.title="nesycd-jobs" \
      org.opencontainers.image.description="Knowledge loading, training and evaluation of nesycd" \
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
CMD ["nesycd", "--help"]
