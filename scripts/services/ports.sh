# Sourced by tests that start services of their own.

# free_port: the first of ten ports in a row that nobody listens on, below those that the system gives to clients.
free_port() {
  local try p i
  for ((try = 0; try < 50; try++)); do
    p=$((20000 + RANDOM % 1000 * 10))
    for ((i = 0; i < 10; i++)); do
      ! (echo >"/dev/tcp/127.0.0.1/$((p + i))") 2>/dev/null || continue 2
    done
    echo "$p"
    return
  done
  echo "no free ports" >&2
  return 1
}
