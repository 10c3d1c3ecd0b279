resource "aws_lb" "this" {
  # checkov:skip=CKV_AWS_91:Requests are counted and traced by the service itself; access logs need a bucket with another policy
  # checkov:skip=CKV_AWS_150:terraform destroy must work on what holds no data
  # checkov:skip=CKV2_AWS_28:A web application firewall is a monthly price that this project cannot decide on
  # checkov:skip=CKV2_AWS_20:Without a certificate there is nothing to redirect to; with one, only TLS is open
  count                      = var.free_tier ? 0 : 1
  name                       = var.name
  load_balancer_type         = "application"
  security_groups            = [aws_security_group.load_balancer[0].id]
  subnets                    = local.subnet_ids
  drop_invalid_header_fields = true
}

resource "aws_lb_target_group" "this" {
  # checkov:skip=CKV_AWS_378:Between load balancer and hosts, inside one network, where only the one may ask the other
  count                = var.free_tier ? 0 : 1
  name                 = var.name
  vpc_id               = local.vpc_id
  port                 = var.service_port
  protocol             = "HTTP"
  deregistration_delay = 30

  # Ready means: hashes verified and golden rows answered right.
  health_check {
    path                = "/readyz"
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

resource "aws_lb_listener" "this" {
  # checkov:skip=CKV_AWS_2:TLS as soon as certificate_arn names a certificate, which needs a domain
  # checkov:skip=CKV_AWS_103:The policy below is TLS 1.2 at least; the check does not follow the condition
  count             = var.free_tier ? 0 : 1
  load_balancer_arn = aws_lb.this[0].arn
  port              = local.public_port
  protocol          = var.certificate_arn != "" ? "HTTPS" : "HTTP"
  certificate_arn   = var.certificate_arn != "" ? var.certificate_arn : null
  ssl_policy        = var.certificate_arn != "" ? "ELBSecurityPolicy-TLS13-1-2-2021-06" : null

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this[0].arn
  }
}
