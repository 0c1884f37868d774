#!/usr/bin/env bash
# Decides on the runner itself which jobs it takes. A fork can change every workflow in its pull
# request, this file on your machine it can't: copy it out of the repository, owned by root, and
# name it in ACTIONS_RUNNER_HOOK_JOB_STARTED. docs/runner.md says how.
set -euo pipefail

label() {
  python3 -I -c '
import json, os
with open(os.environ["GITHUB_EVENT_PATH"], encoding="utf-8") as file:
    event = json.load(file)
print(event.get("action", ""), (event.get("label") or {}).get("name", ""), sep=":")'
}

case "$GITHUB_EVENT_NAME" in
  push | schedule | workflow_dispatch)
    [[ "$GITHUB_REF" == refs/heads/main ]] && exit 0
    ;;
  pull_request)
    [[ "$(label)" == labeled:benchmark ]] && exit 0
    ;;
esac
echo "::error::this runner takes main, and pull requests in the moment a maintainer labels them"
exit 1
