"""People who are asked: subscribers of the topic of approvals. They answer nothing."""

import json
import time

from harness import on_success


class People:
    """Whoever has subscribed to the topic of approvals."""

    def __init__(self, stack):
        self.sqs = stack.client("sqs")
        self.url = self.sqs.create_queue(QueueName=f"e2e-{time.time_ns()}")["QueueUrl"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])["Attributes"]
        may_send = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": "*",
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [may_send]})
        self.sqs.set_queue_attributes(QueueUrl=self.url, Attributes={"Policy": policy})
        sns = stack.client("sns")
        subscribed = sns.subscribe(
            TopicArn=stack.outputs["TopicArn"],
            Protocol="sqs",
            Endpoint=attributes["QueueArn"],
            ReturnSubscriptionArn=True,
        )
        on_success(lambda: sns.unsubscribe(SubscriptionArn=subscribed["SubscriptionArn"]))
        self.seen = []

    def messages(self, recovery):
        """All texts so far about one recovery."""
        while found := self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            self.seen += [json.loads(message["Body"]) for message in found]
            for message in found:
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return [m["Subject"] + "\n" + m["Message"] for m in self.seen if recovery in m["Message"]]
