output "address" {
  description = "Where the service answers; of the one host of free_tier, see `aws ec2 describe-instances`."
  value       = one([for lb in aws_lb.this : "${var.certificate_arn != "" ? "https" : "http"}://${lb.dns_name}:${local.public_port}"])
}

output "environment" {
  description = "What `run.py --deploy --target ec2` is told, and GitHub's variables of the same names."
  value = {
    AWS_DEFAULT_REGION               = var.region
    BENTOLINE_REGISTRY               = "s3://${aws_s3_bucket.this["store"].id}/registry"
    BENTOLINE_ECR_REPOSITORY         = aws_ecr_repository.this.name
    BENTOLINE_CODEDEPLOY_APPLICATION = aws_codedeploy_app.this.name
    BENTOLINE_CODEDEPLOY_GROUP       = aws_codedeploy_deployment_group.this.deployment_group_name
    BENTOLINE_RELEASES_BUCKET        = aws_s3_bucket.this["releases"].id
  }
}

output "github_role" {
  description = "GitHub's variable AWS_ROLE; null where github_repository is not named."
  value       = one(aws_iam_role.github[*].arn)
}

output "secrets" {
  description = "Names to give values to (aws secretsmanager put-secret-value)."
  value       = sort([for secret in aws_secretsmanager_secret.this : secret.name])
}
