exec passthrough_proxy --listen=0.0.0.0:443 \
    --routes=www.example=192.0.2.10:8443,*.apps.example=192.0.2.11:8443 \
    --proxy_protocol=out:v1
