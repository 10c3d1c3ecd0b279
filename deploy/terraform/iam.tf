# Who may do what. Each action is proven to be needed in tests/integration/test_least_privilege.py.
# Resources are named by ARNs put together here, so that a plan shows whole policies before anything is.
locals {
  partition = data.aws_partition.current.partition
  account   = "${var.region}:${data.aws_caller_identity.current.account_id}"
  arn = {
    buckets    = { for name, bucket in local.buckets : name => "arn:${local.partition}:s3:::${bucket}" }
    agent      = "arn:${local.partition}:s3:::aws-codedeploy-${var.region}"
    repository = "arn:${local.partition}:ecr:${local.account}:repository/${var.name}"
    parameters = "arn:${local.partition}:ssm:${local.account}:parameter${local.parameters}"
    secrets    = "arn:${local.partition}:secretsmanager:${local.account}:secret:${var.name}/"
    hosts      = "arn:${local.partition}:autoscaling:${local.account}:autoScalingGroup:*:autoScalingGroupName/${var.name}"
    codedeploy = "arn:${local.partition}:codedeploy:${local.account}"
  }
}

data "aws_iam_policy_document" "trusted" {
  for_each = { host = "ec2.amazonaws.com", codedeploy = "codedeploy.amazonaws.com" }

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = [each.value]
    }
  }
}

# The hosts.
resource "aws_iam_role" "host" {
  name               = "${var.name}-host"
  assume_role_policy = data.aws_iam_policy_document.trusted["host"].json
}

resource "aws_iam_instance_profile" "host" {
  name = "${var.name}-host"
  role = aws_iam_role.host.name
}

resource "aws_iam_role_policy" "host" {
  name   = "host"
  role   = aws_iam_role.host.id
  policy = data.aws_iam_policy_document.host.json
}

data "aws_iam_policy_document" "host" {
  statement {
    sid       = "LogIn" # the token is the account's: AWS knows no narrower resource
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }
  statement {
    sid       = "Pull"
    actions   = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = [local.arn.repository]
  }
  statement {
    sid       = "FetchRelease"
    actions   = ["s3:GetObject", "s3:GetObjectVersion"]
    resources = ["${local.arn.buckets.releases}/*"]
  }
  statement {
    sid       = "FetchAgent"
    actions   = ["s3:GetObject"]
    resources = ["${local.arn.agent}/*"]
  }
  statement {
    sid       = "LogPredictions"
    actions   = ["s3:PutObject"]
    resources = ["${local.arn.buckets.store}/predictions/*"]
  }
  statement {
    sid       = "ReadEnvironment"
    actions   = ["ssm:GetParametersByPath"]
    resources = [local.arn.parameters, "${local.arn.parameters}/*"]
  }
  statement {
    sid       = "ReadSecrets"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = ["${local.arn.secrets}*"] # AWS ends each with six letters of its own
  }
  dynamic "statement" {
    for_each = var.follow_registry_of == "" ? [] : [1]

    content {
      sid       = "ReadRegistry"
      actions   = ["s3:GetObject"]
      resources = ["${local.arn.buckets.store}/registry/*"]
    }
  }
  dynamic "statement" {
    for_each = var.follow_registry_of == "" ? [] : [1]

    content {
      sid       = "ListRegistry"
      actions   = ["s3:ListBucket"]
      resources = [local.arn.buckets.store]
    }
  }
}

# CodeDeploy: what AWSCodeDeployRole allows, without what a roll-out in place never does.
resource "aws_iam_role" "codedeploy" {
  name               = "${var.name}-codedeploy"
  assume_role_policy = data.aws_iam_policy_document.trusted["codedeploy"].json
}

resource "aws_iam_role_policy" "codedeploy" {
  name   = "codedeploy"
  role   = aws_iam_role.codedeploy.id
  policy = data.aws_iam_policy_document.codedeploy.json
}

data "aws_iam_policy_document" "codedeploy" {
  # checkov:skip=CKV_AWS_356:These describe, and AWS knows no narrower resource for them
  statement {
    sid = "Look"
    actions = [
      "autoscaling:DescribeAutoScalingGroups",
      "autoscaling:DescribeLifecycleHooks",
      "cloudwatch:DescribeAlarms",
      "ec2:DescribeInstances",
      "ec2:DescribeInstanceStatus",
      "tag:GetResources",
    ]
    resources = ["*"]
  }
  statement {
    sid = "HoldNewHosts"
    actions = [
      "autoscaling:CompleteLifecycleAction",
      "autoscaling:DeleteLifecycleHook",
      "autoscaling:PutLifecycleHook",
      "autoscaling:RecordLifecycleActionHeartbeat",
      "autoscaling:ResumeProcesses",
      "autoscaling:SuspendProcesses",
    ]
    resources = [local.arn.hosts]
  }
}
