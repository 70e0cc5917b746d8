# featx in a container; docs/server.md says how to run it.
#   docker build -t featx .                                                        CPUs, and NVIDIA GPUs: PyTorch brings CUDA
#   docker build -t featx --build-arg BASE=nvidia/cuda:13.0.1-base-ubuntu24.04 .   on a CUDA image of your own choice
#   docker build -t featx --build-arg EXTRAS=cloud,search .                        with extras
ARG BASE=python:3.12-slim
FROM ${BASE}
ARG EXTRAS=

# A CUDA image may have no Python.
RUN python3 -c "import venv, ensurepip" 2> /dev/null \
    || (apt-get update && apt-get install --yes --no-install-recommends python3 python3-venv && rm -rf /var/lib/apt/lists/*)
RUN python3 -m venv /opt/featx
ENV PATH=/opt/featx/bin:${PATH} PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1

# What featx needs is a layer of its own: a change of featx does not install PyTorch again.
WORKDIR /src
COPY pyproject.toml constraints.txt ./
RUN pip install -c constraints.txt $(python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'])")
COPY README.md LICENSE ./
COPY featx featx
COPY extract extract
COPY train train
COPY evaluate evaluate
COPY data_manifests data_manifests
RUN pip install -c constraints.txt ".${EXTRAS:+[$EXTRAS]}"

# Any user may run it (docker run --user): weights are kept below HOME.
RUN mkdir -m 1777 /home/user
ENV HOME=/home/user
WORKDIR /work
USER 1000
ENTRYPOINT ["featx"]
CMD ["--help"]
