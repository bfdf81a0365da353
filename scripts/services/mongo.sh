# Sourced by start-services.sh: SecantusDB from PyPI, which speaks MongoDB's protocol, transactions and change streams
# included. There is no MongoDB in any package registry. It listens on MONGO_PORT; where it is to be secure, with a password
# and TLS.

SECANTUS_VERSION=${SECANTUS_VERSION:-0.7.0b3}
mongo_venv=$SERVICES_CACHE/secantus-$SECANTUS_VERSION

fetch_mongo() {
  [[ ! -e $mongo_venv/.complete ]] || return 0
  need python3 "fetching SecantusDB"
  rm -rf "$mongo_venv" # a virtual environment cannot be moved, so it is marked when it is complete
  python3 -m venv "$mongo_venv" >&2
  "$mongo_venv/bin/pip" install -q --disable-pip-version-check "secantusdb==$SECANTUS_VERSION" >&2
  touch "$mongo_venv/.complete"
}

mongo_uri() { # mongo_uri WITH_PASSWORD
  if [[ -n $1 ]]; then
    echo "mongodb://skalds:$SERVICES_PASSWORD@127.0.0.1:$MONGO_PORT/?directConnection=true&authSource=admin&tls=true&tlsCAFile=$SERVICES_RUN/tls/ca.pem"
  else
    echo "mongodb://127.0.0.1:$MONGO_PORT/?directConnection=true"
  fi
}

start_mongo() {
  local command=("$mongo_venv/bin/python" -u "$mongo_venv/bin/secantusd-py" --host 127.0.0.1 --port "$MONGO_PORT"
    --storage-path "$SERVICES_RUN/mongo" --cache-size 256M --log-level WARNING)
  cd "$SERVICES_RUN" # it takes its settings from a file in the current folder where there is one
  if is_secure mongo; then
    make_certificates
    if [[ ! -e $SERVICES_RUN/mongo.user ]]; then # a user can be made while nobody is asked for a password
      launch mongo "${command[@]}"
      await mongo "$MONGO_PORT"
      SERVICES_URI=$(mongo_uri "") SERVICES_PASSWORD=$SERVICES_PASSWORD "$mongo_venv/bin/python" -c '
import os, pymongo
client = pymongo.MongoClient(os.environ["SERVICES_URI"], serverSelectionTimeoutMS=20000)
client.admin.command("createUser", "skalds", pwd=os.environ["SERVICES_PASSWORD"], roles=["root"])
' >>"$SERVICES_RUN/mongo.log" 2>&1 || { why mongo "the user of the database cannot be made"; return 1; }
      end mongo
      touch "$SERVICES_RUN/mongo.user"
    fi
    command+=(--auth --tls-cert-file "$SERVICES_RUN/tls/server.pem" --tls-key-file "$SERVICES_RUN/tls/server.key")
  fi
  launch mongo "${command[@]}"
}

mongo_addresses() {
  local secure=
  ! is_secure mongo || secure=1
  echo "MONGO_URI=$(mongo_uri "$secure")"
}
