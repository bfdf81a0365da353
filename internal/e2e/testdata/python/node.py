"""A node of the Python original with one class, which counts, takes updates and fails as told."""

import os
import time

from pydantic import BaseModel, ConfigDict, Field

from skalds.config.skald_config import SkaldConfig
from skalds.skald import Skald
from skalds.worker.baseclass import BaseTaskWorker, run_main_handler, update_event_handler


class CountModel(BaseModel):
    count_to: int = Field(0, alias="countTo")  # 0: for ever
    fail_at: int = Field(-1, alias="failAt")
    diary: str = ""  # file in which it writes down what happens

    model_config = ConfigDict(populate_by_name=True)


class CountWorker(BaseTaskWorker[CountModel]):
    def initialize(self, data):
        if data is None:
            raise ValueError("the attachments do not fit")
        self.data = data

    def note(self, word):
        if self.data.diary:
            with open(self.data.diary, "a") as f:
                f.write(f"{os.environ['SKALD_ID']} {os.getpid()} {word}\n")

    @run_main_handler
    def main(self):
        self.note("began")
        count = 0
        while self.data.count_to <= 0 or count < self.data.count_to:
            if self.data.fail_at == count:
                raise RuntimeError(f"failed at {count}, as told")
            count += 1
            time.sleep(0.1)
        self.note("finished")

    @update_event_handler
    def update(self, data):
        self.data = data
        self.note(f"update {data.fail_at}")


if __name__ == "__main__":
    app = Skald(
        SkaldConfig(
            skald_id=os.environ["SKALD_ID"],
            skald_mode="node",
            redis_host=os.environ["REDIS_HOST"],
            redis_port=int(os.environ["REDIS_PORT"]),
            kafka_host=os.environ["KAFKA_HOST"],
            kafka_port=int(os.environ["KAFKA_PORT"]),
            mongo_host=os.environ["MONGO_HOST"],
            db_name=os.environ["DB_NAME"],
            log_path=os.environ["LOG_PATH"],
        )
    )
    app.register_task_worker(CountWorker)
    app.run()
