# `terraform test`: what a plan must say. Nothing is made; it looks up the account and its default
# network.
variables {
  github_repository = "someone/something"
  allowed_cidrs     = ["0.0.0.0/0"]
}

run "buckets_are_closed_versioned_and_encrypted" {
  command = plan

  assert {
    condition = alltrue(flatten([
      for block in aws_s3_bucket_public_access_block.this : [
        block.block_public_acls, block.block_public_policy,
        block.ignore_public_acls, block.restrict_public_buckets,
      ]
    ]))
    error_message = "Every bucket must be closed to the public in all four ways."
  }
  assert {
    condition = alltrue([
      for versioning in aws_s3_bucket_versioning.this :
      versioning.versioning_configuration[0].status == "Enabled"
    ])
    error_message = "Every bucket must be versioned."
  }
  assert {
    condition = alltrue([
      for encryption in aws_s3_bucket_server_side_encryption_configuration.this :
      one(encryption.rule).apply_server_side_encryption_by_default[0].sse_algorithm == "AES256"
    ])
    error_message = "Every bucket must be encrypted."
  }
  assert {
    condition = alltrue([
      for kind in [
        aws_s3_bucket_public_access_block.this, aws_s3_bucket_versioning.this,
        aws_s3_bucket_server_side_encryption_configuration.this, aws_s3_bucket_policy.this,
      ] : toset(keys(kind)) == toset(keys(aws_s3_bucket.this))
    ])
    error_message = "Every bucket must have all of these."
  }
}

run "tags_of_images_are_never_given_twice" {
  command = plan

  assert {
    condition     = aws_ecr_repository.this.image_tag_mutability == "IMMUTABLE"
    error_message = "Tags must be immutable."
  }
  assert {
    condition     = aws_ecr_repository.this.image_scanning_configuration[0].scan_on_push
    error_message = "Images must be scanned when they are pushed."
  }
  assert {
    condition     = jsondecode(aws_ecr_lifecycle_policy.this.policy).rules[0].selection.countNumber >= 2
    error_message = "The image before must be kept for going back."
  }
}

run "hosts_ask_for_a_token_and_build_nothing" {
  command = plan

  assert {
    condition     = aws_launch_template.this.metadata_options[0].http_tokens == "required"
    error_message = "IMDSv1 must be off."
  }
  assert {
    condition     = aws_launch_template.this.block_device_mappings[0].ebs[0].encrypted == "true"
    error_message = "The hosts' disks must be encrypted."
  }
  assert {
    condition = alltrue([
      for wanted in ["docker", "nginx", "codedeploy-agent"] :
      strcontains(base64decode(aws_launch_template.this.user_data), wanted)
    ])
    error_message = "A host needs Docker, the proxy and CodeDeploy's agent."
  }
  assert {
    condition     = !can(regex("\\b(git|gcc|make|pip|buildx|python3-devel|Development Tools)\\b", base64decode(aws_launch_template.this.user_data)))
    error_message = "A host must not get what builds: it pulls by digest."
  }
}

run "two_hosts_behind_a_load_balancer_that_asks_readyz" {
  command = plan

  assert {
    condition     = aws_autoscaling_group.this.min_size == 2
    error_message = "There must be two hosts at least."
  }
  assert {
    condition     = aws_lb_target_group.this[0].health_check[0].path == "/readyz"
    error_message = "The load balancer must ask for readiness."
  }
  assert {
    condition     = aws_autoscaling_group.this.health_check_type == "EC2"
    error_message = "Before the first release no host answers; EC2's checks alone may replace one."
  }
}

run "unhealthy_hosts_are_replaced_once_there_is_a_release" {
  command = plan
  variables {
    replace_unhealthy = true
  }

  assert {
    condition     = aws_autoscaling_group.this.health_check_type == "ELB"
    error_message = "The load balancer's checks must count."
  }
}

run "only_the_service_port_is_open" {
  command = plan
  variables {
    service_port = 5080
  }

  assert {
    condition = alltrue([
      for rule in aws_vpc_security_group_ingress_rule.to_load_balancer :
      rule.from_port == 5080 && rule.to_port == 5080 && rule.ip_protocol == "tcp"
    ])
    error_message = "The load balancer must be open on the service port alone."
  }
  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.from_clients) == 0
    error_message = "Behind a load balancer no host is open to clients."
  }
}

run "a_certificate_closes_the_plain_port" {
  command = plan
  variables {
    certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/0"
  }

  assert {
    condition     = aws_lb_listener.this[0].protocol == "HTTPS" && aws_lb_listener.this[0].port == 443
    error_message = "With a certificate the load balancer must speak TLS on 443."
  }
  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.to_load_balancer : rule.to_port] == [443]
    error_message = "With a certificate 443 alone is open."
  }
}

run "a_failed_roll_out_goes_back_by_itself" {
  command = plan

  assert {
    condition     = aws_codedeploy_deployment_group.this.auto_rollback_configuration[0].enabled
    error_message = "Rolling back must be on."
  }
  assert {
    condition = (
      aws_codedeploy_deployment_group.this.auto_rollback_configuration[0].events
      == toset(["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"])
    )
    error_message = "A failure and an alarm must both roll back."
  }
  assert {
    condition = (
      aws_codedeploy_deployment_group.this.alarm_configuration[0].alarms
      == toset(["bentoline-5xx-share", "bentoline-p99"])
    )
    error_message = "The roll-out must watch the share of 5xx and the p99."
  }
  assert {
    condition     = aws_codedeploy_deployment_group.this.deployment_config_name == "CodeDeployDefault.OneAtATime"
    error_message = "One host at a time, so that a bad release reaches one."
  }
}

run "only_the_environments_of_one_repository_get_a_role" {
  command = plan

  assert {
    condition = alltrue([
      for role, environment in { deploy = "production", monitor = "monitoring" } : anytrue([
        for condition in data.aws_iam_policy_document.github_trusted[role].statement[0].condition :
        condition.test == "StringEquals"
        && condition.variable == "token.actions.githubusercontent.com:sub"
        && condition.values == tolist(["repo:someone/something:environment:${environment}"])
      ])
    ])
    error_message = "A role must trust its environment of that repository, without wildcards."
  }
}

run "without_a_repository_github_gets_nothing" {
  command = plan
  variables {
    github_repository = ""
  }

  assert {
    condition     = length(aws_iam_role.github) + length(aws_iam_openid_connect_provider.github) == 0
    error_message = "No role and no provider without a repository."
  }
}

run "the_free_tier_is_one_small_host" {
  command = plan
  variables {
    free_tier = true
  }

  assert {
    condition     = aws_launch_template.this.instance_type == "t3.micro"
    error_message = "The free tier has t3.micro."
  }
  assert {
    condition     = aws_autoscaling_group.this.min_size == 1 && aws_autoscaling_group.this.max_size == 1
    error_message = "The free tier has one host."
  }
  assert {
    condition     = length(aws_lb.this) == 0
    error_message = "The free tier has no load balancer."
  }
  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.from_clients : rule.to_port] == [8000]
    error_message = "The one host must be open on the service port alone."
  }
  assert {
    condition     = aws_codedeploy_deployment_group.this.alarm_configuration[0].alarms == toset(["bentoline-host"])
    error_message = "Without a load balancer the host's own alarm stands in."
  }
}

run "hosts_follow_a_registry_only_where_asked" {
  command = plan
  variables {
    follow_registry_of = "iris"
  }

  assert {
    condition     = aws_ssm_parameter.environment["BENTOLINE_PROBLEM"].value == "iris"
    error_message = "The container must be told the problem."
  }
  assert {
    condition     = strcontains(data.aws_iam_policy_document.host.json, "ReadRegistry")
    error_message = "The hosts must be allowed to read the registry."
  }
}

run "wrong_values_are_refused" {
  command = plan
  variables {
    name               = "Bento Line"
    region             = "Frankfurt"
    service_port       = 80
    allowed_cidrs      = ["everybody"]
    certificate_arn    = "cert.pem"
    instance_type      = "t4g.small"
    hosts              = { min = 1, max = 1 }
    subnet_ids         = ["subnet-1"]
    github_repository  = "someone/*"
    follow_registry_of = "Iris!"
    max_5xx_share      = 20
    max_p99_s          = 0
  }

  expect_failures = [
    var.name, var.region, var.service_port, var.allowed_cidrs, var.certificate_arn,
    var.instance_type, var.hosts, var.subnet_ids, var.github_repository, var.follow_registry_of,
    var.max_5xx_share, var.max_p99_s,
  ]
}
