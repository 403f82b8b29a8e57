<?php
// Reads the bodies of a corpus as PHP; see python_parsers.py. PHP parses only the requests of its own server, so
// this starts one on a loopback port and sends it all bodies.

function flatten($value, array &$found): void {
  if (!is_array($value)) {
    $found[] = is_bool($value) ? ($value ? 'true' : 'false') : (string)$value;
    return;
  }
  foreach ($value as $key => $inner) {
    $found[] = (string)$key;
    flatten($inner, $found);
  }
}

if (PHP_SAPI === 'cli-server') {
  $found = [];
  flatten($_POST, $found);
  foreach ($_FILES as $name => $file) {
    $found[] = (string)$name;
    flatten($file['name'], $found);
    flatten($file['full_path'], $found);
  }
  if (strpos($_SERVER['CONTENT_TYPE'] ?? '', 'json') !== false) {
    flatten(json_decode(file_get_contents('php://input'), true), $found);
  }
  echo bin2hex(implode("\0", $found));
  return true;
}

// A port that is free now; the server reports on standard error when it listens.
$probe = stream_socket_server('tcp://127.0.0.1:0');
$address = stream_socket_get_name($probe, false);
fclose($probe);
$server = proc_open(
    [PHP_BINARY, '-n', '-d', 'display_errors=0', '-d', 'html_errors=0', '-d', 'max_input_vars=100000', '-S', $address,
     __FILE__],
    [['file', '/dev/null', 'r'], ['file', '/dev/null', 'w'], ['pipe', 'w']], $pipes);
while (($line = fgets($pipes[2])) !== false && strpos($line, 'started') === false);
stream_set_blocking($pipes[2], false);

$corpus = file_get_contents($argv[1]);
for ($at = 0; $at < strlen($corpus);) {
  [, $type_bytes, $body_bytes] = unpack('N2', $corpus, $at);
  $type = substr($corpus, $at + 8, $type_bytes);
  $body = substr($corpus, $at + 8 + $type_bytes, $body_bytes);
  $at += 8 + $type_bytes + $body_bytes;
  $head = "POST / HTTP/1.0\r\nHost: app.test\r\nContent-Length: $body_bytes\r\n";
  if ($type !== '') {
    $head .= "Content-Type: $type\r\n";
  }
  $connection = stream_socket_client("tcp://$address");
  fwrite($connection, "$head\r\n$body");
  $answer = stream_get_contents($connection);
  fclose($connection);
  fread($pipes[2], 65536);
  if (!preg_match('~^HTTP/1\.[01] 200 .*?\r\n\r\n([0-9a-f]*)$~s', $answer, $match)) {
    fwrite(STDERR, "an answer that is none: $answer\n");
    proc_terminate($server);
    exit(1);
  }
  echo $match[1] === '' ? '-' : $match[1], "\n";
}
proc_terminate($server);
