# Sourced by start-services.sh and stop-services.sh: the settings that both need.

all_services=(kafka redis mongo)
KAFKA_PORT=${KAFKA_PORT:-29092}
REDIS_PORT=${REDIS_PORT:-26379}
MONGO_PORT=${MONGO_PORT:-27018}
SERVICES_CACHE=${SERVICES_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/skalds-services}
SERVICES_RUN=${SERVICES_RUN:-/tmp/skalds-services-$(id -u)-$KAFKA_PORT}

known() {
  [[ " ${all_services[*]} " == *" $1 "* ]] || { note "there is no service \"$1\": they are ${all_services[*]}"; exit 1; }
}
