#!/usr/bin/env bash
# MLflow on a cluster's head: bash deploy/mlflow.sh DATABASE ARTIFACTS [PORT]
# It listens on loopback alone, and lets in only the user and password of ~/.mlflow/credentials,
# which is where MLflow's own client looks for them. Where it runs already, nothing is started.
set -euo pipefail
umask 077
database=$1 artifacts=$2 port=${3:-5000}
url=http://127.0.0.1:$port own=~/.mlflow bin=$(cd "$(dirname "$0")/../.venv/bin" && pwd)
of() { sed -n "s/^mlflow_tracking_$1 *= *//p" "$own/credentials"; }
answer() { # what a login is answered; the password is not among the words that `ps` shows
  curl -s -o /dev/null -w '%{http_code}' --max-time 20 -K - "$url/api/2.0/mlflow/experiments/get?experiment_id=0" \
    <<< "user = \"$(of username):$(of password)\""
}
[ -n "$(of password)" ] || { echo "no password in ~/.mlflow/credentials: deploy/secrets.sh makes it" >&2; exit 2; }
chmod 600 "$own/credentials"
[ -s "$own/session_key" ] || openssl rand -hex 32 > "$own/session_key"

if ! curl -sf --max-time 5 "$url/health" > /dev/null; then
  # a checked password is remembered for five minutes: PBKDF2 on every call is 20 times as slow
  cat > "$own/basic_auth.ini" << END
[mlflow]
database_uri = $database
default_permission = READ
admin_username = $(of username)
auth_cache_ttl_seconds = 300
END
  export MLFLOW_AUTH_CONFIG_PATH=$own/basic_auth.ini MLFLOW_AUTH_ADMIN_PASSWORD MLFLOW_FLASK_SERVER_SECRET_KEY
  MLFLOW_AUTH_ADMIN_PASSWORD=$(of password) MLFLOW_FLASK_SERVER_SECRET_KEY=$(< "$own/session_key")
  MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false nohup "$bin/mlflow" server --app-name basic-auth \
    --host 127.0.0.1 --port "$port" --workers 1 --backend-store-uri "$database" \
    --artifacts-destination "$artifacts" > "$own/server.log" 2>&1 < /dev/null &
  for _ in $(seq 120); do
    curl -sf --max-time 5 "$url/health" > /dev/null && break
    sleep 1
  done
fi
case $(answer) in
  200) echo "MLflow answers at $url" ;;
  401) echo "MLflow at $url has another password than ~/.mlflow/credentials" >&2; exit 1 ;;
  *) echo "MLflow does not answer at $url:" >&2; tail -n 20 "$own/server.log" >&2; exit 1 ;;
esac
