# The daily commands. `just` alone lists them. Each is a line of README.md or CONTRIBUTING.md, so `just` is not needed;
# tests/test_documents.py keeps the lines equal. Get it with `.venv/bin/pip install -e '.[dev]'` or from your system.

_default:
    @{{ just_executable() }} --list --unsorted

# install and serve on port 8080, with the bundled PostgreSQL
dev:
    python3 -m venv .venv && .venv/bin/pip install -q --cache-dir .cache/pip -e . && .venv/bin/python -m server

# install and run every check, as CI does
test:
    python3 -m venv .venv && .venv/bin/pip install -q --cache-dir .cache/pip -e '.[test]' && .venv/bin/python -m tests

# run some tests: just some tests/api/test_profiles.py -k owner
some *arguments:
    .venv/bin/python -m tests {{ arguments }}

# format, and repair what the linter can repair
fix:
    .venv/bin/ruff check --fix . && .venv/bin/ruff format .

# test the pages in a real browser
browser:
    .venv/bin/pip install -q --cache-dir .cache/pip -e '.[test,browser]' && .venv/bin/python -m tests.browser

# build the documentation site
site:
    .venv/bin/pip install -q --cache-dir .cache/pip -e '.[docs]' && .venv/bin/python -m tests.site

# generate clients from the document and use them
clients:
    .venv/bin/pip install -q --cache-dir .cache/pip -e '.[test,clients]' && .venv/bin/python -m tests.clients

# run each load scenario for a moment
load:
    .venv/bin/python -m tests.load --quick --driver python

# carry out a little of each attack
attack:
    .venv/bin/pip install -q --cache-dir .cache/pip -e '.[test,attack]' && .venv/bin/python -m tests.attack --quick

# harm the service a little while clients write
drill:
    .venv/bin/pip install -q --cache-dir .cache/pip -e '.[test,drill]' && .venv/bin/python -m tests.drill --quick

# move Django sites here
move:
    .venv/bin/pip install -q --cache-dir .cache/pip -e '.[test]' && .venv/bin/python -m tests.move --number 500
