#!/bin/sh
# Containers read what docker-compose.yml mounts as users of their own. In a checkout made under umask 077 it is its owner's
# alone, and no server starts; nothing of it is secret. The secrets are another folder (make-secrets.sh).
set -eu

cd "${1:-$(dirname "$0")/../..}"
sed -n 's#^ *- \./\([^:]*\):.*#\1#p; s#^ *- \${[A-Z]*:-\./\([^}]*\)}:.*#\1#p' docker-compose.yml | while read -r mounted; do
    find "$mounted" -type f ! -perm -444 -exec chmod a+r {} +
    find "$mounted" -type d ! -perm -555 -exec chmod a+rx {} +
done
