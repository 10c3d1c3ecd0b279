# User data of every host, after the exports that hosts.tf writes before it: what runs a container,
# what fetches a release, and nothing that could build one.
# shellcheck shell=bash
set -euo pipefail

: "${AWS_DEFAULT_REGION:?}" "${BENTOLINE_PORT:?}" "${BENTOLINE_PARAMETERS:?}" "${BENTOLINE_SECRETS:?}"

dnf install --assumeyes --quiet docker nginx ruby wget
mkdir -p /etc/bentoline /etc/docker /var/lib/bentoline
# A restart of the engine, such as an update's, then takes no container's connections away.
echo '{"live-restore": true, "userland-proxy": false}' >/etc/docker/daemon.json
systemctl enable --now docker nginx

printf '{"port": %d}\n' "$BENTOLINE_PORT" >/etc/bentoline/host.json

# What the container is started with. It is written again every few minutes, so that a secret that
# was set or renewed is in the next release; a secret without a value is left out.
cat >/usr/local/sbin/bentoline-environment <<EOF
#!/bin/bash
set -euo pipefail
export AWS_DEFAULT_REGION=$AWS_DEFAULT_REGION
umask 077
new=\$(mktemp /etc/bentoline/.container.env.XXXXXX)
trap 'rm -f "\$new"' EXIT
echo "AWS_DEFAULT_REGION=$AWS_DEFAULT_REGION" >"\$new"
aws ssm get-parameters-by-path --path $BENTOLINE_PARAMETERS --output text \\
    --query 'Parameters[].[Name,Value]' |
    while IFS=\$'\t' read -r name value; do echo "\${name##*/}=\$value"; done >>"\$new"
for secret in $BENTOLINE_SECRETS; do
    value=\$(aws secretsmanager get-secret-value --secret-id "\$secret" --output text \\
        --query SecretString 2>/dev/null) || continue
    echo "\${secret##*/}=\$value" >>"\$new"
done
mv "\$new" /etc/bentoline/container.env
EOF
chmod 700 /usr/local/sbin/bentoline-environment
cat >/etc/systemd/system/bentoline-environment.service <<'EOF'
[Unit]
Description=Fetch what bentoline's container is started with

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/bentoline-environment
EOF
cat >/etc/systemd/system/bentoline-environment.timer <<'EOF'
[Timer]
OnUnitInactiveSec=5min

[Install]
WantedBy=timers.target
EOF
systemctl daemon-reload
# Once before the agent starts: CodeDeploy gives a new host the last release at once.
systemctl start bentoline-environment.service
systemctl enable --now bentoline-environment.timer

installer=$(mktemp)
wget --quiet --output-document="$installer" \
    "https://aws-codedeploy-$AWS_DEFAULT_REGION.s3.$AWS_DEFAULT_REGION.amazonaws.com/latest/install"
ruby "$installer" auto
rm "$installer"
systemctl enable --now codedeploy-agent
