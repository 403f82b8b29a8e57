#!/usr/bin/env bash
# ./bazelw run //docs:api
set -euo pipefail
cd "${BUILD_WORKSPACE_DIRECTORY:?run it by: ./bazelw run //docs:api}"
exec scripts/check_api build/api
