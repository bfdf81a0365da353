"""A script as the original's users write it: it creates a task, names a node, and tells the node. Usage: script.py ID NODE DIARY."""

import os
import sys

from node import CountModel
from skalds.model.event import TaskEvent
from skalds.model.task import Task
from skalds.proxy.kafka import KafkaConfig, KafkaProxy, KafkaTopic
from skalds.proxy.mongo import MongoConfig, MongoProxy
from skalds.repository.repository import TaskRepository

task_id, node, diary = sys.argv[1:]
attachments = CountModel(countTo=30, diary=diary)
repository = TaskRepository(MongoProxy(MongoConfig(host=os.environ["MONGO_HOST"], db_name=os.environ["DB_NAME"])))
repository.create_task(Task(id=task_id, class_name="CountWorker", source="script", attachments=attachments))
repository.update_executor(task_id, node)
kafka = KafkaProxy(KafkaConfig(host=os.environ["KAFKA_HOST"], port=int(os.environ["KAFKA_PORT"])))
kafka.produce(KafkaTopic.TASK_ASSIGN, key=task_id, value=TaskEvent(task_ids=[task_id]).model_dump_json())
kafka.producer.flush()
