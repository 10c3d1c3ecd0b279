locals {
  parameters = "/${var.name}/environment"
  secrets    = ["BENTOLINE_LOG_KEY", "BENTOLINE_TOKEN", "MONGODB_URI"]
}

# Their values are set by hand (README.md), so that neither the code nor Terraform's state has them.
resource "aws_secretsmanager_secret" "this" {
  # checkov:skip=CKV_AWS_149:AWS's own key for Secrets Manager; a key of one's own adds a second thing to lose and to pay
  # checkov:skip=CKV2_AWS_57:A connection string and a token are renewed where they come from, not here
  for_each    = toset(local.secrets)
  name        = "${var.name}/${each.value}"
  description = "The service's ${each.value}"
}

# What the service's container is started with besides: no secret among it.
resource "aws_ssm_parameter" "environment" {
  # checkov:skip=CKV2_AWS_34:Where things lie and what they are called; what is secret lies in Secrets Manager
  # checkov:skip=CKV_AWS_337:Where things lie and what they are called; what is secret lies in Secrets Manager
  for_each = merge(
    { BENTOLINE_PREDICTION_LOG = "s3://${local.buckets.store}/predictions" },
    var.follow_registry_of == "" ? {} : {
      BENTOLINE_PROBLEM  = var.follow_registry_of
      BENTOLINE_REGISTRY = "s3://${local.buckets.store}/registry"
    },
  )
  name  = "${local.parameters}/${each.key}"
  type  = "String"
  value = each.value
}
