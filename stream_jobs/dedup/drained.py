"""When a group has read the whole topic, as it stood when somebody asked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiokafka

from infra.kafka.connection import aiokafka_options
from schemas.settings import KafkaSettings

FETCH_MS = 500
LOOK_SECONDS = 0.2


async def drained(kafka: KafkaSettings, group: str, floor: Mapping[int, int]) -> None:
    """Returns when the group has committed up to the end of the topic as it stands now, in every partition.

    What lies below the `floor` is stored without it. The end is that of the last record: behind it there may be marks
    of other producers' transactions, which nobody commits past until a record follows.
    """
    consumer = aiokafka.AIOKafkaConsumer(**aiokafka_options(kafka), group_id=group, enable_auto_commit=False)
    looker = aiokafka.AIOKafkaConsumer(**aiokafka_options(kafka), enable_auto_commit=False)
    await consumer.start()
    try:
        await looker.start()
        await consumer._client._wait_on_metadata(kafka.topic)
        partitions = [aiokafka.TopicPartition(kafka.topic, p) for p in consumer.partitions_for_topic(kafka.topic) or ()]
        starts, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        begins = {tp: max(starts[tp], floor.get(tp.partition, 0)) for tp in partitions}

        async def behind() -> list[aiokafka.TopicPartition]:
            return [tp for tp in partitions if max(await consumer.committed(tp) or 0, begins[tp]) < ends[tp]]

        for tp in await behind():
            ends[tp] = await _behind_last_record(looker, tp, begins[tp], ends[tp])
        while True:
            if not await behind():
                return
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await consumer.stop()
        await looker.stop()


async def _behind_last_record(
    looker: aiokafka.AIOKafkaConsumer, tp: aiokafka.TopicPartition, begin: int, end: int
) -> int:
    """The offset behind the last record below `end`; `begin` if there is none. Each mark has an offset of its own."""
    looker.assign([tp])
    while end > begin:
        looker.seek(tp, end - 1)
        found: list[int] = []
        while not found and await looker.position(tp) < end:
            found = [record.offset for record in (await looker.getmany(tp, timeout_ms=FETCH_MS)).get(tp, ())]
        if found and found[0] < end:
            return end
        end -= 1
    return begin
