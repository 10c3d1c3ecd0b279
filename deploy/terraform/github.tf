# What GitHub's runners may do, without a key: by the environment that their job names.
locals {
  github_host = "token.actions.githubusercontent.com"
  github_arn = (
    var.github_oidc_provider_arn != "" ? var.github_oidc_provider_arn
    : one(aws_iam_openid_connect_provider.github[*].arn)
  )
  # By role: its environment and its policy. Which branches may use an environment is set at GitHub.
  github_roles = var.github_repository == "" ? {} : {
    deploy  = { environment = "production", policy = data.aws_iam_policy_document.deploy.json }
    monitor = { environment = "monitoring", policy = data.aws_iam_policy_document.monitor.json }
  }
}

resource "aws_iam_openid_connect_provider" "github" {
  count          = var.github_repository != "" && var.github_oidc_provider_arn == "" ? 1 : 0
  url            = "https://${local.github_host}"
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_iam_role" "github" {
  for_each             = local.github_roles
  name                 = "${var.name}-github-${each.key}"
  assume_role_policy   = data.aws_iam_policy_document.github_trusted[each.key].json
  max_session_duration = 7200 # training may take so long
}

data "aws_iam_policy_document" "github_trusted" {
  for_each = local.github_roles

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [local.github_arn]
    }
    condition {
      test     = "StringEquals"
      variable = "${local.github_host}:aud"
      values   = ["sts.amazonaws.com"]
    }
    # A job with an environment names that in place of its branch.
    condition {
      test     = "StringEquals"
      variable = "${local.github_host}:sub"
      values   = ["repo:${var.github_repository}:environment:${each.value.environment}"]
    }
  }
}

resource "aws_iam_role_policy" "github" {
  for_each = local.github_roles
  name     = each.key
  role     = aws_iam_role.github[each.key].id
  policy   = each.value.policy
}

# For a person who deploys from a machine of their own: attach it to a role or group.
resource "aws_iam_policy" "deploy" {
  name        = "${var.name}-deploy"
  description = "Push ${var.name}'s images and roll them out"
  policy      = data.aws_iam_policy_document.deploy.json
}

data "aws_iam_policy_document" "deploy" {
  statement {
    sid       = "LogIn" # the token is the account's: AWS knows no narrower resource
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }
  statement {
    sid = "Push"
    actions = [
      "ecr:BatchCheckLayerAvailability",
      "ecr:BatchGetImage",
      "ecr:CompleteLayerUpload",
      "ecr:DescribeRepositories",
      "ecr:GetDownloadUrlForLayer",
      "ecr:InitiateLayerUpload",
      "ecr:PutImage",
      "ecr:UploadLayerPart",
    ]
    resources = [local.arn.repository]
  }
  statement {
    sid       = "List"
    actions   = ["s3:ListBucket"]
    resources = [local.arn.buckets.store, local.arn.buckets.releases]
  }
  statement {
    sid       = "ReadRegistry"
    actions   = ["s3:GetObject"]
    resources = ["${local.arn.buckets.store}/registry/*"]
  }
  statement {
    sid       = "WriteReleasesAndFacts"
    actions   = ["s3:PutObject"]
    resources = ["${local.arn.buckets.releases}/*", "${local.arn.buckets.store}/registry/*/facts/*"]
  }
  statement {
    sid = "RollOut"
    actions = [
      "codedeploy:BatchGetDeploymentTargets",
      "codedeploy:CreateDeployment",
      "codedeploy:GetApplicationRevision",
      "codedeploy:GetDeployment",
      "codedeploy:GetDeploymentConfig",
      "codedeploy:GetDeploymentGroup",
      "codedeploy:ListDeploymentTargets",
      "codedeploy:ListDeployments",
      "codedeploy:RegisterApplicationRevision",
    ]
    resources = [
      "${local.arn.codedeploy}:application:${var.name}",
      "${local.arn.codedeploy}:deploymentgroup:${var.name}/${var.name}",
      "${local.arn.codedeploy}:deploymentconfig:${local.one_at_a_time}",
    ]
  }
}

# Looks at the prediction log, trains where that is due, and promotes what its gates accept.
data "aws_iam_policy_document" "monitor" {
  statement {
    sid       = "List"
    actions   = ["s3:ListBucket"]
    resources = [local.arn.buckets.store]
  }
  statement {
    sid       = "ReadLogAndRegistry"
    actions   = ["s3:GetObject"]
    resources = ["${local.arn.buckets.store}/predictions/*", "${local.arn.buckets.store}/registry/*"]
  }
  statement {
    sid       = "Publish"
    actions   = ["s3:PutObject"]
    resources = ["${local.arn.buckets.store}/registry/*"]
  }
}
