variable "name" {
  description = "What everything is called, and what BENTOLINE_ECR_REPOSITORY, BENTOLINE_CODEDEPLOY_APPLICATION and BENTOLINE_CODEDEPLOY_GROUP name."
  type        = string
  default     = "bentoline"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.name))
    error_message = "name must be 3 to 20 of a-z, 0-9 and -, beginning with a letter, such as bentoline: load balancers and buckets are named after it."
  }
}

variable "region" {
  description = "Where everything lies."
  type        = string
  default     = "us-east-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be one of AWS's, such as eu-central-1."
  }
}

variable "follow_registry_of" {
  description = "A problem whose production alias in the bucket's registry the hosts follow without a roll-out; empty, they serve what their image holds."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^([a-z][a-z0-9_]*)?$", var.follow_registry_of))
    error_message = "follow_registry_of must be a problem's name, such as vehicle_insurance, or empty."
  }
}

variable "service_port" {
  description = "The one port that is open, on the load balancer and on the hosts."
  type        = number
  default     = 8000

  validation {
    condition     = var.service_port >= 1024 && var.service_port <= 65535 && floor(var.service_port) == var.service_port
    error_message = "service_port must be a whole number from 1024 to 65535, such as 8000 or 5080: the proxy that listens there has no rights of root."
  }
}

variable "allowed_cidrs" {
  description = "Who may ask the service."
  type        = list(string)
  default     = ["0.0.0.0/0"]

  validation {
    condition     = length(var.allowed_cidrs) > 0 && alltrue([for cidr in var.allowed_cidrs : can(cidrhost(cidr, 0))])
    error_message = "allowed_cidrs must be address ranges, such as [\"10.0.0.0/8\"]."
  }
}

variable "certificate_arn" {
  description = "A certificate of ACM. Given, the load balancer speaks TLS on 443; empty, HTTP on service_port."
  type        = string
  default     = ""

  validation {
    condition     = var.certificate_arn == "" || can(regex("^arn:[^:]+:acm:", var.certificate_arn))
    error_message = "certificate_arn must be the ARN of a certificate in ACM, or empty."
  }
}

variable "free_tier" {
  description = "One t3.micro, open on the service port, without a load balancer. It is down while it is replaced."
  type        = bool
  default     = false
}

variable "instance_type" {
  description = "Of each host; free_tier takes t3.micro."
  type        = string
  default     = "t3.small"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]*\\.[a-z0-9]+$", var.instance_type)) && !can(regex("^[a-z]+[0-9]+g[a-z]*\\.", var.instance_type))
    error_message = "instance_type must be one of x86_64, such as t3.small: the image is built for that."
  }
}

variable "hosts" {
  description = "The fewest and the most hosts; free_tier has one."
  type        = object({ min = number, max = number })
  default     = { min = 2, max = 4 }

  validation {
    condition     = var.hosts.min >= 2 && var.hosts.max >= var.hosts.min
    error_message = "hosts.min must be at least 2, so that one serves while the other is replaced, and hosts.max at least hosts.min; free_tier = true is for one host."
  }
}

variable "replace_unhealthy" {
  description = "Replace hosts whose service does not answer. Set it once the first release is out: before it no host answers, and all would be replaced for ever."
  type        = bool
  default     = false
}

variable "vpc_id" {
  description = "The network; empty, the account's default one."
  type        = string
  default     = ""
}

variable "subnet_ids" {
  description = "Subnets of vpc_id, in two zones at least; empty, all that it has."
  type        = list(string)
  default     = []

  validation {
    condition     = length(var.subnet_ids) != 1
    error_message = "subnet_ids must name two subnets at least, or none."
  }
}

variable "github_repository" {
  description = "OWNER/NAME whose main branch may push images and roll them out; empty, no such role."
  type        = string
  default     = ""

  validation {
    condition     = var.github_repository == "" || can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.github_repository))
    error_message = "github_repository must be OWNER/NAME, without wildcards."
  }
}

variable "github_oidc_provider_arn" {
  description = "Where the account has GitHub's OIDC provider already, since it can have one only; empty, it is made."
  type        = string
  default     = ""
}

variable "max_5xx_share" {
  description = "Of all answers in five minutes; more raises the alarm that stops a roll-out."
  type        = number
  default     = 0.01

  validation {
    condition     = var.max_5xx_share > 0 && var.max_5xx_share < 1
    error_message = "max_5xx_share must be in (0, 1). Write 0.01 for one percent."
  }
}

variable "max_p99_s" {
  description = "Seconds that 99 in 100 answers may take."
  type        = number
  default     = 0.25

  validation {
    condition     = var.max_p99_s > 0
    error_message = "max_p99_s must be above 0, in seconds."
  }
}
