exec terminating_proxy --listen=0.0.0.0:443 \
    --cert=/etc/edge/front.pem --key=/etc/edge/front.key \
    --backend=192.0.2.10:8080 --proxy_protocol=out:v1
