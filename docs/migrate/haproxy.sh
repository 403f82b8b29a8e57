exec bridging_proxy --listen=0.0.0.0:443 \
    --cert=/etc/edge/front.pem --key=/etc/edge/front.key \
    --backend=192.0.2.10:8443 --backend_ca=/etc/edge/ca.pem --backend_name=app.internal \
    --proxy_protocol=out:v1
