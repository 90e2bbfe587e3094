"""Queues: what an AWS service sent somewhere, for a test to read."""

import json
import time


class Queue:
    """A queue, by its URL."""

    def __init__(self, stack, url):
        self.sqs, self.url = stack.client("sqs"), url
        attributes = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
        self.arn = attributes["QueueArn"]

    @classmethod
    def create(cls, stack, sender):
        """One of the test's own, that a service may send to, such as `sns.amazonaws.com`."""
        queue = cls(stack, stack.client("sqs").create_queue(QueueName=f"e2e-{time.time_ns()}")["QueueUrl"])
        may_send = {"Effect": "Allow", "Principal": {"Service": sender}, "Action": "sqs:SendMessage", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [may_send]})
        queue.sqs.set_queue_attributes(QueueUrl=queue.url, Attributes={"Policy": policy})
        return queue

    def take(self):
        """The texts that have come; from then on they are no longer there."""
        texts = []
        while found := self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                texts.append(message["Body"])
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return texts
