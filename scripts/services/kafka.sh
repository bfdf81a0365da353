# Sourced by start-services.sh: Apache Kafka, KAFKA_NODES brokers that are controllers, too. Its jars come from Maven Central.
# The first listens on KAFKA_PORT without encryption, on KAFKA_PORT+1 for itself, and, where it is to be secure, on KAFKA_PORT+2
# with TLS and a password (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512) and rights, which who comes without a password may change; each further one on ports that are 10 higher.

KAFKA_VERSION=${KAFKA_VERSION:-4.3.1}
kafka_jars=$SERVICES_CACHE/kafka-$KAFKA_VERSION
kafka_java=(-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=warn
  -Dorg.slf4j.simpleLogger.showDateTime=true "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS")

fetch_kafka() {
  need java "Kafka (version 17 or newer)"
  [[ ! -e $kafka_jars/.complete ]] || return 0
  need mvn "fetching Kafka"
  local new=$kafka_jars.$$
  mkdir -p "$new"
  mvn -q -B -Dstyle.color=never -f "$here/services/kafka-pom.xml" -Dkafka.version="$KAFKA_VERSION" \
    org.apache.maven.plugins:maven-dependency-plugin:3.6.0:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$new" >&2
  touch "$new/.complete"
  place "$new" "$kafka_jars"
}

# start_kafka kafka|kafka-2|…
start_kafka() {
  local name=$1 port secure= listeners format=() p=$SERVICES_RUN/$1.properties replicas=$((KAFKA_NODES < 3 ? KAFKA_NODES : 3)) in_sync=1 voters= i
  port=$(port_of "$name")
  listeners="PLAINTEXT://127.0.0.1:$port"
  ((replicas < 3)) || in_sync=2
  for i in $(instances kafka); do
    voters+=,$((($(port_of "$i") - KAFKA_PORT) / 10 + 1))@127.0.0.1:$(($(port_of "$i") + 1))
  done
  if is_secure kafka; then
    secure=1
    listeners+=",SASL_SSL://127.0.0.1:$((port + 2))"
    make_certificates
  fi
  (umask 077; cat >"$p" <<END
process.roles=broker,controller
node.id=$(((port - KAFKA_PORT) / 10 + 1))
controller.quorum.voters=${voters#,}
listeners=$listeners,CONTROLLER://127.0.0.1:$((port + 1))
advertised.listeners=$listeners
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=$SERVICES_RUN/$name
num.partitions=1
num.network.threads=2
num.io.threads=2
default.replication.factor=$replicas
min.insync.replicas=$in_sync
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=4000
offsets.topic.replication.factor=$replicas
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=$replicas
transaction.state.log.min.isr=$in_sync
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=$replicas
share.coordinator.state.topic.min.isr=$in_sync
group.initial.rebalance.delay.ms=0
END
  )
  if [[ -n $secure ]]; then
    local l=listener.name.sasl_ssl m=org.apache.kafka.common.security user="username=\"skalds\" password=\"$SERVICES_PASSWORD\""
    cat >>"$p" <<END
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
allow.everyone.if.no.acl.found=true
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
$l.plain.sasl.jaas.config=$m.plain.PlainLoginModule required $user user_skalds="$SERVICES_PASSWORD";
$l.scram-sha-256.sasl.jaas.config=$m.scram.ScramLoginModule required;
$l.scram-sha-512.sasl.jaas.config=$m.scram.ScramLoginModule required;
$l.ssl.keystore.type=PEM
$l.ssl.keystore.location=$SERVICES_RUN/tls/server.both.pem
END
    format=(--add-scram "SCRAM-SHA-256=[name=skalds,password=$SERVICES_PASSWORD]"
      --add-scram "SCRAM-SHA-512=[name=skalds,password=$SERVICES_PASSWORD]")
  fi
  if [[ ! -e $SERVICES_RUN/$name/meta.properties ]]; then
    java "${kafka_java[@]}" -cp "$kafka_jars/*" kafka.tools.StorageTool format -t "$(kafka_id)" -c "$p" ${format[@]+"${format[@]}"} \
      >>"$SERVICES_RUN/$name.log" 2>&1 || { why "$name" "the data folder of $name cannot be formatted"; return 1; }
  fi
  launch "$name" java -Xms96m -Xmx256m "${kafka_java[@]}" -cp "$kafka_jars/*" kafka.Kafka "$p"
}

# kafka_id: that of the cluster, which its brokers share. None begins with a dash: it would be taken for an option.
kafka_id() {
  local f=$SERVICES_RUN/kafka.id id=-
  if [[ ! -s $f ]]; then
    while [[ $id == -* ]]; do id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d =); done
    echo "$id" >"$f"
  fi
  cat "$f"
}

# kafka_ports OFFSET: the addresses of all brokers.
kafka_ports() {
  local i all=
  for i in $(instances kafka); do all+=,127.0.0.1:$(($(port_of "$i") + $1)); done
  echo "${all#,}"
}

kafka_addresses() {
  echo "KAFKA_BROKERS=$(kafka_ports 0)"
  is_secure kafka || return 0
  echo "KAFKA_SECURE_BROKERS=$(kafka_ports 2)"
  echo "KAFKA_USERNAME=skalds"
  echo "KAFKA_PASSWORD=$SERVICES_PASSWORD"
}
