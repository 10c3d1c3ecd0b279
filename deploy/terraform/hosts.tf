locals {
  # Read by host.sh, which comes after it in the user data.
  host_environment = {
    AWS_DEFAULT_REGION   = var.region
    BENTOLINE_PORT       = var.service_port
    BENTOLINE_PARAMETERS = local.parameters
    BENTOLINE_SECRETS    = join(" ", [for secret in local.secrets : "${var.name}/${secret}"])
  }
  user_data = join("\n", concat(
    ["#!/bin/bash"],
    [for name, value in local.host_environment : "export ${name}='${value}'"],
    [file("${path.module}/host.sh")],
  ))
}

resource "aws_launch_template" "this" {
  # checkov:skip=CKV_AWS_341:The container writes the prediction log by the host's role; the token is required all the same
  name          = var.name
  image_id      = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
  instance_type = var.free_tier ? "t3.micro" : var.instance_type
  user_data     = base64encode(local.user_data)

  update_default_version = true
  vpc_security_group_ids = [aws_security_group.hosts.id]

  iam_instance_profile {
    arn = aws_iam_instance_profile.host.arn
  }
  # IMDSv2 only. Two hops, since the container writes the prediction log by the host's role.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 2
  }
  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_size           = 16
      volume_type           = "gp3"
      encrypted             = true
      delete_on_termination = true
    }
  }
  monitoring {
    enabled = !var.free_tier
  }
  tag_specifications {
    resource_type = "instance"
    tags          = { Name = var.name, Project = var.name }
  }
}

resource "aws_autoscaling_group" "this" {
  name                      = var.name
  min_size                  = var.free_tier ? 1 : var.hosts.min
  max_size                  = var.free_tier ? 1 : var.hosts.max
  vpc_zone_identifier       = local.subnet_ids
  target_group_arns         = aws_lb_target_group.this[*].arn
  health_check_type         = var.replace_unhealthy && !var.free_tier ? "ELB" : "EC2"
  health_check_grace_period = 300
  # CodeDeploy hangs its own hook on the group; hosts come up without waiting for a first release.
  wait_for_capacity_timeout = "0"

  launch_template {
    id      = aws_launch_template.this.id
    version = aws_launch_template.this.latest_version
  }
  instance_refresh {
    strategy = "Rolling"

    preferences {
      min_healthy_percentage = var.free_tier ? 0 : 100
    }
  }
  tag {
    key                 = "Project"
    value               = var.name
    propagate_at_launch = true
  }
}
