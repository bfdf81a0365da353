# Sourced by start-services.sh: a certificate authority of this folder's own, and a certificate of 127.0.0.1 and localhost.

make_certificates() {
  local d=$SERVICES_RUN/tls
  [[ ! -e $d/server.both.pem ]] || return 0
  need openssl "the certificates of the services"
  mkdir -p "$d"
  {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 30 -subj "/CN=skalds test authority" \
      -keyout "$d/ca.key" -out "$d/ca.pem"
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj "/CN=localhost" \
      -keyout "$d/server.key" -out "$d/server.csr"
    openssl x509 -req -in "$d/server.csr" -CA "$d/ca.pem" -CAkey "$d/ca.key" -CAcreateserial -days 30 -out "$d/server.pem" \
      -extfile <(echo "subjectAltName=DNS:localhost,IP:127.0.0.1")
  } >"$d/log" 2>&1 || { note "no certificates can be made:"; cat "$d/log" >&2; return 1; }
  chmod 0600 "$d"/*.key
  (umask 077; cat "$d/server.key" "$d/server.pem" >"$d/server.both.pem")
}
