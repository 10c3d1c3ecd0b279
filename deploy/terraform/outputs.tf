locals {
  environment = {
    AWS_DEFAULT_REGION               = var.region
    BENTOLINE_REGISTRY               = "s3://${aws_s3_bucket.this["store"].id}/registry"
    BENTOLINE_PREDICTION_LOG         = "s3://${aws_s3_bucket.this["store"].id}/predictions"
    BENTOLINE_ECR_REPOSITORY         = aws_ecr_repository.this.name
    BENTOLINE_CODEDEPLOY_APPLICATION = aws_codedeploy_app.this.name
    BENTOLINE_CODEDEPLOY_GROUP       = aws_codedeploy_deployment_group.this.deployment_group_name
    BENTOLINE_RELEASES_BUCKET        = aws_s3_bucket.this["releases"].id
  }
}

output "address" {
  description = "Where the service answers; of the one host of free_tier, see `aws ec2 describe-instances`."
  value       = one([for lb in aws_lb.this : "${var.certificate_arn != "" ? "https" : "http"}://${lb.dns_name}:${local.public_port}"])
}

output "environment" {
  description = "What `run.py --deploy --target ec2` is told, and GitHub's variables of the same names."
  value       = local.environment
}

output "exports" {
  description = "The same for a shell: eval \"$(terraform output -raw exports)\"."
  value       = join("\n", [for name, value in local.environment : "export ${name}='${value}'"])
}

output "github_roles" {
  description = "GitHub's variables for its roles; empty where github_repository is not named."
  value = var.github_repository == "" ? {} : {
    AWS_ROLE         = aws_iam_role.github["deploy"].arn
    AWS_MONITOR_ROLE = aws_iam_role.github["monitor"].arn
  }
}

output "secrets" {
  description = "Names to give values to (aws secretsmanager put-secret-value)."
  value       = sort([for secret in aws_secretsmanager_secret.this : secret.name])
}
