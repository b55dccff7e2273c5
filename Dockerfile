# syntax=docker/dockerfile:1

# pixcore from its wheels, for a CPU or for an NVIDIA GPU:
#
#   make wheels
#   docker build --target cpu  --tag pixcore:cpu .
#   docker build --target cuda --tag pixcore:cuda --build-arg EXTRAS=transformers,sam .
#
#   mkdir -p runs ~/.cache/huggingface    # Docker makes what is not there as root's, and the image's user can't write in it
#   docker run --rm --volume "$PWD/runs:/work/runs" pixcore:cpu run demo.yaml
#   docker run --rm --gpus all --volume "$PWD:/work" --volume ~/.cache/huggingface:/models pixcore:cuda run mine.yaml
#
# The user in the image has the number 1000; where yours is another, add --user "$(id -u):$(id -g)".

# Python 3.11 to 3.13 work; one image has one.
ARG PYTHON=3.12

FROM python:${PYTHON}-slim-bookworm AS base
# No files of pip's, no half-written pages of Python's, and output as it comes.
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
# Checkpoints are kept outside the container: mount a folder here, or they are fetched each time.
ENV HF_HOME=/models
# Whoever runs it is nobody in particular, and may write in these two folders.
RUN useradd --uid 1000 --create-home pixcore \
    && install --directory --mode 1777 /work /models
WORKDIR /work
COPY demo.yaml ./

# Both images install the wheels of one release by file, so that no package of the same name comes from an index; what
# they require of others has the versions that the tests run with. EXTRAS: demo, transformers, sam, openai, all.

FROM base AS cpu
ARG EXTRAS=demo
# PyPI's torch brings CUDA; this index has builds without.
RUN --mount=type=bind,source=dist,target=/wheels \
    --mount=type=bind,source=constraints.txt,target=/constraints.txt \
    pip install --no-cache-dir --constraint /constraints.txt --find-links /wheels \
        --extra-index-url https://download.pytorch.org/whl/cpu \
        "$(echo /wheels/pixcore-*.whl)[${EXTRAS}]"
USER 1000
ENTRYPOINT ["pixcore"]
CMD ["--help"]

FROM base AS cuda
ARG EXTRAS=transformers,sam
# torch's own wheels have all of CUDA that it needs; the host has the driver and NVIDIA's container toolkit.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN --mount=type=bind,source=dist,target=/wheels \
    --mount=type=bind,source=constraints.txt,target=/constraints.txt \
    pip install --no-cache-dir --constraint /constraints.txt --find-links /wheels \
        "$(echo /wheels/pixcore-*.whl)[${EXTRAS}]"
USER 1000
ENTRYPOINT ["pixcore"]
CMD ["--help"]
