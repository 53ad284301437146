"""The documentation site: docs/ and the pages of the repository, with a reference made from the code."""
