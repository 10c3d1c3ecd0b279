locals {
  one_at_a_time = "CodeDeployDefault.OneAtATime"
}

resource "aws_codedeploy_app" "this" {
  name             = var.name
  compute_platform = "Server"
}

resource "aws_codedeploy_deployment_group" "this" {
  app_name               = aws_codedeploy_app.this.name
  deployment_group_name  = var.name
  service_role_arn       = aws_iam_role.codedeploy.arn
  autoscaling_groups     = [aws_autoscaling_group.this.name]
  deployment_config_name = local.one_at_a_time

  # The proxy on each host moves requests from the old container to the new one, so that the load
  # balancer need not take the host out.
  deployment_style {
    deployment_option = "WITHOUT_TRAFFIC_CONTROL"
    deployment_type   = "IN_PLACE"
  }
  auto_rollback_configuration {
    enabled = true
    events  = ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"]
  }
  alarm_configuration {
    enabled = true
    alarms  = local.alarms
  }

  depends_on = [aws_iam_role_policy.codedeploy]
}
