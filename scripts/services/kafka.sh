# Sourced by start-services.sh: Apache Kafka, one broker that is its own controller. Its jars come from Maven Central.
# It listens on KAFKA_PORT without encryption, on KAFKA_PORT+1 for itself, and, where it is to be secure, on KAFKA_PORT+2
# with TLS and a password (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512).

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

start_kafka() {
  local secure= listeners="PLAINTEXT://127.0.0.1:$KAFKA_PORT" format=() uuid=- p=$SERVICES_RUN/kafka.properties
  if is_secure kafka; then
    secure=1
    listeners+=",SASL_SSL://127.0.0.1:$((KAFKA_PORT + 2))"
    make_certificates
  fi
  (umask 077; cat >"$p" <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((KAFKA_PORT + 1))
listeners=$listeners,CONTROLLER://127.0.0.1:$((KAFKA_PORT + 1))
advertised.listeners=$listeners
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=$SERVICES_RUN/kafka
num.partitions=1
num.network.threads=2
num.io.threads=2
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
END
  )
  if [[ -n $secure ]]; then
    local l=listener.name.sasl_ssl m=org.apache.kafka.common.security user="username=\"skalds\" password=\"$SERVICES_PASSWORD\""
    cat >>"$p" <<END
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
  if [[ ! -e $SERVICES_RUN/kafka/meta.properties ]]; then
    while [[ $uuid == -* ]]; do uuid=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d =); done
    java "${kafka_java[@]}" -cp "$kafka_jars/*" kafka.tools.StorageTool format -t "$uuid" -c "$p" ${format[@]+"${format[@]}"} \
      >>"$SERVICES_RUN/kafka.log" 2>&1 || { why kafka "the data folder of Kafka cannot be formatted"; return 1; }
  fi
  launch kafka java -Xms96m -Xmx256m "${kafka_java[@]}" -cp "$kafka_jars/*" kafka.Kafka "$p"
}

kafka_addresses() {
  echo "KAFKA_BROKERS=127.0.0.1:$KAFKA_PORT"
  is_secure kafka || return 0
  echo "KAFKA_SECURE_BROKERS=127.0.0.1:$((KAFKA_PORT + 2))"
  echo "KAFKA_USERNAME=skalds"
  echo "KAFKA_PASSWORD=$SERVICES_PASSWORD"
}
