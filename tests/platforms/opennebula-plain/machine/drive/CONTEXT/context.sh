VMID='9'
HOSTNAME='teal-9'
START_SCRIPT='$(touch /etc/made-by); `touch /etc/made-by`'
USERDATA='#cloud-config
write_files:
- {path: /etc/made-by, content: '\''in quotes'\''}
'
