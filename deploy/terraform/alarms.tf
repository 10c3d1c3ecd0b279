# Where there is no load balancer nobody counts answers for CloudWatch; the host's own checks stand in.
locals {
  alarms = concat(
    aws_cloudwatch_metric_alarm.errors[*].alarm_name,
    aws_cloudwatch_metric_alarm.latency[*].alarm_name,
    aws_cloudwatch_metric_alarm.host[*].alarm_name,
  )
}

resource "aws_cloudwatch_metric_alarm" "errors" {
  count               = var.free_tier ? 0 : 1
  alarm_name          = "${var.name}-5xx-share"
  alarm_description   = "More than ${var.max_5xx_share * 100} % of answers in five minutes are 5xx."
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.max_5xx_share
  evaluation_periods  = 5
  datapoints_to_alarm = 2
  treat_missing_data  = "notBreaching"

  metric_query {
    id          = "share"
    label       = "share of 5xx"
    expression  = "IF(requests > 0, (FILL(by_hosts, 0) + FILL(by_balancer, 0)) / requests, 0)"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = {
      requests    = "RequestCount"
      by_hosts    = "HTTPCode_Target_5XX_Count"
      by_balancer = "HTTPCode_ELB_5XX_Count"
    }

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/ApplicationELB"
        metric_name = metric_query.value
        dimensions  = { LoadBalancer = aws_lb.this[0].arn_suffix }
        stat        = "Sum"
        period      = 60
      }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "latency" {
  count               = var.free_tier ? 0 : 1
  alarm_name          = "${var.name}-p99"
  alarm_description   = "One answer in a hundred takes longer than ${var.max_p99_s} s."
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.max_p99_s
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  treat_missing_data  = "notBreaching"
  namespace           = "AWS/ApplicationELB"
  metric_name         = "TargetResponseTime"
  dimensions          = { LoadBalancer = aws_lb.this[0].arn_suffix }
  extended_statistic  = "p99"
  period              = 60
}

resource "aws_cloudwatch_metric_alarm" "host" {
  count               = var.free_tier ? 1 : 0
  alarm_name          = "${var.name}-host"
  alarm_description   = "The host does not pass EC2's status checks."
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 2
  treat_missing_data  = "notBreaching"
  namespace           = "AWS/EC2"
  metric_name         = "StatusCheckFailed"
  dimensions          = { AutoScalingGroupName = aws_autoscaling_group.this.name }
  statistic           = "Maximum"
  period              = 60
}
