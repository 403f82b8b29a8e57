exec http_proxy --listen=0.0.0.0:443 \
    --cert=/etc/edge/front.pem --key=/etc/edge/front.key \
    --routes=www.example/=http://192.0.2.10:8080,www.example/api=http://192.0.2.11:8080 \
    --max_body=65536
