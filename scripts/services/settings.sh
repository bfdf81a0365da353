# Sourced by start-services.sh and stop-services.sh: the settings that both need.

all_services=(kafka redis mongo)
KAFKA_PORT=${KAFKA_PORT:-29092}
REDIS_PORT=${REDIS_PORT:-26379}
MONGO_PORT=${MONGO_PORT:-27018}
SERVICES_CACHE=${SERVICES_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/skalds-services}
SERVICES_RUN=${SERVICES_RUN:-/tmp/skalds-services-$(id -u)-$KAFKA_PORT}

KAFKA_NODES=${KAFKA_NODES:-1}

# instances NAME: the processes of a service, or the one of that name: kafka, kafka-2, kafka-3, …
instances() {
  local i
  case $1 in
    kafka)
      echo kafka
      for ((i = 2; i <= KAFKA_NODES; i++)); do echo "kafka-$i"; done
      ;;
    redis | mongo) echo "$1" ;;
    *)
      [[ $1 =~ ^kafka-([2-9])$ && ${BASH_REMATCH[1]} -le $KAFKA_NODES ]] ||
        { note "there is no service \"$1\": they are ${all_services[*]}, and kafka-2 and so on as KAFKA_NODES says"; return 1; }
      echo "$1"
      ;;
  esac
}
