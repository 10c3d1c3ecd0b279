locals {
  vpc_id     = var.vpc_id != "" ? var.vpc_id : data.aws_vpc.default[0].id
  subnet_ids = length(var.subnet_ids) > 0 ? var.subnet_ids : data.aws_subnets.all[0].ids
  # What the world sees: the load balancer's port, or that of the one host.
  public_port = var.certificate_arn != "" && !var.free_tier ? 443 : var.service_port
}

data "aws_vpc" "default" {
  count   = var.vpc_id == "" ? 1 : 0
  default = true
}

data "aws_subnets" "all" {
  count = length(var.subnet_ids) == 0 ? 1 : 0

  filter {
    name   = "vpc-id"
    values = [local.vpc_id]
  }
}

resource "aws_security_group" "hosts" {
  name        = "${var.name}-hosts"
  description = "The service port in, HTTPS out"
  vpc_id      = local.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "from_load_balancer" {
  count                        = var.free_tier ? 0 : 1
  security_group_id            = aws_security_group.hosts.id
  description                  = "The load balancer asks the service"
  referenced_security_group_id = aws_security_group.load_balancer[0].id
  ip_protocol                  = "tcp"
  from_port                    = var.service_port
  to_port                      = var.service_port
}

resource "aws_vpc_security_group_ingress_rule" "from_clients" {
  for_each          = toset(var.free_tier ? var.allowed_cidrs : [])
  security_group_id = aws_security_group.hosts.id
  description       = "Clients ask the one host"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = var.service_port
  to_port           = var.service_port
}

# ECR, S3, CodeDeploy and the packages of Amazon Linux: their addresses change, so any.
resource "aws_vpc_security_group_egress_rule" "to_aws" {
  security_group_id = aws_security_group.hosts.id
  description       = "AWS and the packages of the distribution"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_security_group" "load_balancer" {
  count       = var.free_tier ? 0 : 1
  name        = "${var.name}-load-balancer"
  description = "One port in, the hosts out"
  vpc_id      = local.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "to_load_balancer" {
  for_each          = toset(var.free_tier ? [] : var.allowed_cidrs)
  security_group_id = aws_security_group.load_balancer[0].id
  description       = "Clients ask the service"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = local.public_port
  to_port           = local.public_port
}

resource "aws_vpc_security_group_egress_rule" "to_hosts" {
  count                        = var.free_tier ? 0 : 1
  security_group_id            = aws_security_group.load_balancer[0].id
  description                  = "The load balancer asks the hosts"
  referenced_security_group_id = aws_security_group.hosts.id
  ip_protocol                  = "tcp"
  from_port                    = var.service_port
  to_port                      = var.service_port
}
