"""People who are asked: subscribers of the topic of approvals. They answer nothing."""

import json

from queues import Queue


class Subscriber:
    """Whoever has subscribed to the topic of approvals."""

    def __init__(self, stack):
        self.queue = Queue.create(stack, "sns.amazonaws.com")
        sns = stack.client("sns")
        subscribed = sns.subscribe(
            TopicArn=stack.outputs["TopicArn"],
            Protocol="sqs",
            Endpoint=self.queue.arn,
            ReturnSubscriptionArn=True,
        )
        stack.on_success(lambda: sns.unsubscribe(SubscriptionArn=subscribed["SubscriptionArn"]))
        self.seen = []

    def messages(self, recovery):
        """All texts so far about one recovery."""
        self.seen += [json.loads(text) for text in self.queue.take()]
        return [m["Subject"] + "\n" + m["Message"] for m in self.seen if recovery in m["Message"]]
