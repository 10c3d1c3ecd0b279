# What GitHub's runners may do, without a key: only those of the main branch, only push and roll out.
locals {
  github_host = "token.actions.githubusercontent.com"
  github_arn = (
    var.github_oidc_provider_arn != "" ? var.github_oidc_provider_arn
    : one(aws_iam_openid_connect_provider.github[*].arn)
  )
}

resource "aws_iam_openid_connect_provider" "github" {
  count          = var.github_repository != "" && var.github_oidc_provider_arn == "" ? 1 : 0
  url            = "https://${local.github_host}"
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_iam_role" "github" {
  count                = var.github_repository != "" ? 1 : 0
  name                 = "${var.name}-github"
  assume_role_policy   = data.aws_iam_policy_document.github_trusted[0].json
  max_session_duration = 3600
}

data "aws_iam_policy_document" "github_trusted" {
  count = var.github_repository != "" ? 1 : 0

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
    # A job with an environment names that in place of its branch; both workflows have this one.
    condition {
      test     = "StringEquals"
      variable = "${local.github_host}:sub"
      values   = ["repo:${var.github_repository}:environment:production"]
    }
  }
}

resource "aws_iam_role_policy" "github" {
  count  = var.github_repository != "" ? 1 : 0
  name   = "deploy"
  role   = aws_iam_role.github[0].id
  policy = data.aws_iam_policy_document.deploy.json
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
