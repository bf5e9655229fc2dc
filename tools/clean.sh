#!/bin/sh
# Removes what the make targets made in this directory: builds, caches, packages, a private Deno. Not for anything outside.
cd "$(dirname "$0")/.." && rm -rf dist .cache .tools node_modules
